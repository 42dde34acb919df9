// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package notification

import (
	"encoding/json"
	"maps"
	"strings"
	"time"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

// inputPrefix begins the keys of inputs in the record.
const inputPrefix = EventInput + "-"

// entry is what the record knows of one thing that happened. One of the first three is set last.
type entry struct {
	// Sent is when the receiver took it.
	Sent *time.Time `json:"sent,omitempty"`
	// GivenUp is when it was given up.
	GivenUp *time.Time `json:"givenUp,omitempty"`
	// Since is when it was tried first; Error is why it could not be delivered.
	Since *time.Time `json:"since,omitempty"`
	Error string     `json:"error,omitempty"`
}

func (e entry) done() bool { return e.Sent != nil || e.GivenUp != nil }

// record is the annotation of a run that says what was told of it, by the keys of happenings.
type record map[string]entry

// readRecord reads the annotation. One that cannot be read counts as none: to tell twice is better than
// not at all.
func readRecord(run *devopsv1alpha3.PipelineRun) record {
	r := record{}
	if text := run.Annotations[devopsv1alpha3.NotifiedAnnotation]; text != "" {
		if err := json.Unmarshal([]byte(text), &r); err != nil || r == nil {
			return record{}
		}
	}
	return r
}

// with gives the record with an entry more. Of inputs only the newest is kept, which is the only one that
// can still be waited for.
func (r record) with(key string, e entry) record {
	out := maps.Clone(r)
	if strings.HasPrefix(key, inputPrefix) {
		maps.DeleteFunc(out, func(other string, _ entry) bool { return strings.HasPrefix(other, inputPrefix) })
	}
	out[key] = e
	return out
}

// merge gives a record with what either knows. What is done stays done, whoever knows of it.
func (r record) merge(other record) record {
	out := maps.Clone(r)
	for key, e := range other {
		if have, ok := out[key]; !ok || !have.done() {
			out[key] = e
		}
	}
	return out
}

func (r record) encode() (string, error) {
	text, err := json.Marshal(r)
	return string(text), err //nolint:wrapcheck // the caller says what it was
}
