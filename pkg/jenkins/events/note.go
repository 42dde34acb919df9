// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package events

import (
	"encoding/json"
	"time"
)

// Note is the newest event of a run's build in the form in which it stands on the run, as an annotation.
// Whoever may change the run can write it, too: it is a reason to look, not a fact.
type Note struct {
	Type  Type  `json:"type"`
	Build int64 `json:"build"`
	// QueueItem is the queue item that the build was, 0 if the event did not tell it.
	QueueItem int64 `json:"queueItem,omitempty"`
	// Time is when it happened, by Jenkins' clock.
	Time time.Time `json:"time"`
	// Start is when the build was made.
	Start time.Time `json:"start,omitzero"`
	// Result is the build's result, empty while it is open.
	Result string `json:"result,omitempty"`
}

// NoteOf gives the note of an event.
func NoteOf(e *Event) Note {
	return Note{Type: e.Type, Build: e.Build, QueueItem: e.QueueItem, Time: e.Time.UTC(), Start: e.Start.UTC(), Result: e.Result}
}

// maxNoteText bounds the text of a note, in bytes.
const maxNoteText = 4096

// ParseNote reads a note. It is not ok if the text is none, or an event of no build.
func ParseNote(text string) (note Note, ok bool) {
	if text == "" || len(text) > maxNoteText || json.Unmarshal([]byte(text), &note) != nil || note.Type.Rank() == 0 || note.Build < 1 {
		return Note{}, false
	}
	note.QueueItem = max(0, note.QueueItem)
	return note, true
}

// String gives the note's text.
func (n Note) String() string {
	text, err := json.Marshal(n)
	if err != nil {
		return "" // a time beyond the year 9999
	}
	return string(text)
}

// Follows tells if the note is news to who knows the other one: it is about the same build and later in
// the build's life, or about another build and later in time.
func (n Note) Follows(other Note) bool {
	if n.Build == other.Build {
		return n.Type.Rank() > other.Type.Rank()
	}
	return n.Time.After(other.Time)
}
