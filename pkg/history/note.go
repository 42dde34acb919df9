// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package history

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

// editModeJSON is the value of the annotation jenkinsfile.edit.mode while the JSON form waits to be brought into the
// Jenkinsfile.
const editModeJSON = "json"

// Note is what the API server leaves on a Pipeline with an edit of its Jenkinsfile.
type Note struct {
	// User made the edit.
	User string `json:"user"`
	// Time is when.
	Time metav1.Time `json:"time"`
	// Hash is the Digest of what was written: the Jenkinsfile, or its JSON form until that is brought into it.
	Hash string `json:"hash"`
	// ID tells the note from others, so that none counts twice.
	ID string `json:"id"`
	// RestoredFrom is the revision that was restored, 0 for an edit.
	RestoredFrom int64 `json:"restoredFrom,omitempty"`
}

// Sign leaves a note that the user made the edit that the Pipeline holds. restored is the revision that it restores, else 0.
func Sign(pipeline *devopsv1alpha3.Pipeline, user string, now time.Time, restored int64) {
	if len(user) > maxAuthor {
		user = strings.ToValidUTF8(user[:maxAuthor], "") + "…"
	}
	write(pipeline, Note{User: user, Time: metav1.Time{Time: now.UTC()}, Hash: Digest(edited(pipeline)), ID: uuid.NewString(), RestoredFrom: restored})
}

// Unsign takes the note of a Pipeline over from a former state of it, as nothing was edited.
func Unsign(pipeline, former *devopsv1alpha3.Pipeline) {
	delete(pipeline.Annotations, devopsv1alpha3.PipelineJenkinsfileAuthorAnnotation)
	if text, ok := former.Annotations[devopsv1alpha3.PipelineJenkinsfileAuthorAnnotation]; ok {
		annotate(pipeline, text)
	}
}

// Edited tells if a Pipeline holds another edit of its Jenkinsfile than a former state of it.
func Edited(pipeline, former *devopsv1alpha3.Pipeline) bool {
	return edited(pipeline) != edited(former)
}

// edited is what was written last: the JSON form while it waits, else the Jenkinsfile.
func edited(pipeline *devopsv1alpha3.Pipeline) string {
	if pipeline.Annotations[devopsv1alpha3.PipelineJenkinsfileEditModeAnnotation] == editModeJSON {
		return pipeline.Annotations[devopsv1alpha3.PipelineJenkinsfileValueAnnotation]
	}
	if pipeline.Spec.Pipeline == nil {
		return ""
	}
	return pipeline.Spec.Pipeline.Jenkinsfile
}

// Carry lets the note for a JSON form count for the Jenkinsfile that it was brought into, which the Pipeline has now.
func Carry(pipeline *devopsv1alpha3.Pipeline, form string) {
	note, ok := noteOf(pipeline)
	if !ok || note.Hash != Digest(form) || pipeline.Spec.Pipeline == nil {
		return
	}
	note.Hash = Digest(pipeline.Spec.Pipeline.Jenkinsfile)
	write(pipeline, note)
}

func noteOf(pipeline *devopsv1alpha3.Pipeline) (note Note, ok bool) {
	text := pipeline.Annotations[devopsv1alpha3.PipelineJenkinsfileAuthorAnnotation]
	if text == "" || json.Unmarshal([]byte(text), &note) != nil {
		return Note{}, false
	}
	return note, note.User != "" && note.ID != "" && len(note.User) <= maxAuthor+len("…")
}

func write(pipeline *devopsv1alpha3.Pipeline, note Note) {
	text, err := json.Marshal(note)
	if err != nil {
		// Strings and numbers can always be encoded.
		return
	}
	annotate(pipeline, string(text))
}

func annotate(pipeline *devopsv1alpha3.Pipeline, text string) {
	if pipeline.Annotations == nil {
		pipeline.Annotations = map[string]string{}
	}
	pipeline.Annotations[devopsv1alpha3.PipelineJenkinsfileAuthorAnnotation] = text
}
