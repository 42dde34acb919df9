// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package history keeps the former Jenkinsfiles of a Pipeline: who changed it, when, and to what.
//
// Each is a ControllerRevision (apps/v1) that the Pipeline owns: Kubernetes' own kind for the history of an object's
// spec. It needs no API of its own, is immutable, shows in kubectl, and the garbage collector removes it with its
// Pipeline. The controller of Pipelines makes it when it sees a new Jenkinsfile, so changes by kubectl are kept, too. What
// a list shows stands in an annotation, so that a list need not read the texts.
//
// Who made a change the controller cannot see. The API server leaves a Note on the Pipeline with the edit, which counts for
// the very text that it was made for, and once: a later change by another way has no author rather than a wrong one. Like
// every annotation it can be written by whoever may write the Pipeline; proof is in the audit log of Kubernetes.
package history

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

const (
	// PipelineLabel on a ControllerRevision names the Pipeline whose Jenkinsfile it has.
	PipelineLabel = "slipway.dev/jenkinsfile-of"
	// RevisionAnnotation is the JSON form of its Revision.
	RevisionAnnotation = "slipway.dev/jenkinsfile-revision"
	// UnknownAuthor is the author of a change of which nobody left a note.
	UnknownAuthor = "unknown (not through the API)"
)

const (
	// MaxRevisions is how many Jenkinsfiles are kept, the newest.
	MaxRevisions = 50
	// maxTotal bounds what those of one Pipeline take in Kubernetes, in bytes. The newest is kept in any case.
	maxTotal = 8 << 20
	// maxStored bounds one of them: Kubernetes stores no object of more than 1.5 MiB.
	maxStored = 1280 << 10
	// maxAuthor bounds the name of an author, in bytes.
	maxAuthor = 256
)

// ErrNotFound says that there is no revision of a number.
var ErrNotFound = errors.New("no such revision of the Jenkinsfile")

// ErrNotKept says that a revision is known but its text was too large to be kept.
var ErrNotKept = errors.New("the Jenkinsfile of this revision was too large to be kept")

// Revision is what is known of one former Jenkinsfile, without its text.
type Revision struct {
	// revision counts from 1.
	Number int64 `json:"revision"`
	// author is the user who made the change through the API, else UnknownAuthor.
	Author string `json:"author"`
	// time is when the change was made or, without a known author, seen.
	Time metav1.Time `json:"time"`
	// hash is the SHA-256 of the text, in hexadecimal digits.
	Hash string `json:"hash"`
	// bytes is the length of the text.
	Bytes int `json:"bytes"`
	// restoredFrom is the revision whose text was restored by this change; 0 for an edit.
	RestoredFrom int64 `json:"restoredFrom,omitempty"`
	// current is true for the Jenkinsfile that the pipeline has now.
	Current bool `json:"current"`
	// omitted is true if the text was too large to be kept.
	Omitted bool `json:"omitted,omitempty"`
}

// record is what the annotation of a ControllerRevision holds.
type record struct {
	Revision
	// Note is Note.ID of the note that told the author.
	Note string `json:"note,omitempty"`
	// Stored is how many bytes the text takes.
	Stored int `json:"stored"`
	// object is the name of the ControllerRevision.
	object string
}

// Digest is Revision.Hash of a text.
func Digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// List gives the revisions of a Pipeline's Jenkinsfile, the newest first, by one call. The reader should not be a cache.
func List(ctx context.Context, reader client.Reader, pipeline *devopsv1alpha3.Pipeline) ([]Revision, error) {
	records, err := list(ctx, reader, pipeline)
	if err != nil {
		return nil, err
	}
	out := make([]Revision, len(records))
	for i := range records {
		out[i] = records[i].Revision
	}
	if p := pipeline.Spec.Pipeline; len(out) > 0 && p != nil && p.Source == nil {
		out[0].Current = out[0].Hash == Digest(p.Jenkinsfile)
	}
	return out, nil
}

func list(ctx context.Context, reader client.Reader, pipeline *devopsv1alpha3.Pipeline) ([]record, error) {
	found := &metav1.PartialObjectMetadataList{}
	found.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("ControllerRevisionList"))
	label := client.MatchingLabels{PipelineLabel: reconcile.LabelValue(pipeline.Name)}
	if err := reader.List(ctx, found, client.InNamespace(pipeline.Namespace), label); err != nil {
		return nil, fmt.Errorf("list the revisions of the Jenkinsfile of %s: %w", pipeline.Name, err)
	}
	var out []record
	for i := range found.Items {
		if r, ok := read(&found.Items[i], pipeline); ok {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b record) int { return cmp.Compare(b.Number, a.Number) })
	return out, nil
}

// read reads a revision. One of another Pipeline, such as a deleted one of the same name, is none.
func read(obj client.Object, pipeline *devopsv1alpha3.Pipeline) (r record, ok bool) {
	if !metav1.IsControlledBy(obj, pipeline) || !obj.GetDeletionTimestamp().IsZero() {
		return r, false
	}
	if json.Unmarshal([]byte(obj.GetAnnotations()[RevisionAnnotation]), &r) != nil || r.Number < 1 {
		return r, false
	}
	r.object = obj.GetName()
	r.Current = false
	return r, true
}

// Get reads one revision with its text. The error is ErrNotFound or ErrNotKept where these hold.
func Get(ctx context.Context, reader client.Reader, pipeline *devopsv1alpha3.Pipeline, number int64) (*Revision, string, error) {
	obj := &appsv1.ControllerRevision{}
	err := reader.Get(ctx, client.ObjectKey{Namespace: pipeline.Namespace, Name: objectName(pipeline, number)}, obj)
	if apierrors.IsNotFound(err) {
		return nil, "", ErrNotFound
	}
	if err != nil {
		return nil, "", fmt.Errorf("read revision %d of the Jenkinsfile of %s: %w", number, pipeline.Name, err)
	}
	r, ok := read(obj, pipeline)
	if !ok || r.Number != number {
		return nil, "", ErrNotFound
	}
	if r.Omitted {
		return &r.Revision, "", ErrNotKept
	}
	text, err := unpack(obj.Data.Raw)
	if err != nil {
		return nil, "", fmt.Errorf("read revision %d of the Jenkinsfile of %s: %w", number, pipeline.Name, err)
	}
	return &r.Revision, text, nil
}

// objectName names the ControllerRevision of a number, so that two processes cannot both make it.
func objectName(pipeline *devopsv1alpha3.Pipeline, number int64) string {
	return fmt.Sprintf("jenkinsfile-%s-%d", Digest(string(pipeline.UID))[:16], number)
}

// Recorder makes revisions.
type Recorder struct {
	// Live reads from Kubernetes itself: a cache could hide what was made a moment ago.
	Live client.Reader
	// Client writes.
	Client client.Client
	// Now tells the time.
	Now func() time.Time
}

// Record keeps the Jenkinsfile that the Pipeline has, unless it is that of the newest revision, and removes the oldest
// revisions beyond what is kept. It can be repeated after a failure. A Pipeline without a Jenkinsfile of its own, or one whose
// Jenkinsfile has not been written yet, has nothing to keep.
func (r *Recorder) Record(ctx context.Context, pipeline *devopsv1alpha3.Pipeline) error {
	spec := pipeline.Spec.Pipeline
	if spec == nil || spec.Source != nil {
		return nil
	}
	former, err := list(ctx, r.Live, pipeline)
	if err != nil {
		return err
	}
	next := int64(1)
	if len(former) > 0 {
		next = former[0].Number + 1
	}
	switch hash := Digest(spec.Jenkinsfile); {
	case len(former) == 0 && spec.Jenkinsfile == "":
		return nil
	case len(former) > 0 && former[0].Hash == hash:
	default:
		made := record{Revision: Revision{Number: next, Author: UnknownAuthor, Time: metav1.Time{Time: r.Now().UTC()}, Hash: hash, Bytes: len(spec.Jenkinsfile)}}
		if note, ok := noteOf(pipeline); ok && note.Hash == hash && !slices.ContainsFunc(former, func(f record) bool { return f.Note == note.ID }) {
			made.Author, made.Time, made.RestoredFrom, made.Note = note.User, note.Time, note.RestoredFrom, note.ID
		}
		if err := r.create(ctx, pipeline, &made); err != nil {
			return fmt.Errorf("keep the Jenkinsfile of %s: %w", pipeline.Name, err)
		}
		former = slices.Insert(former, 0, made)
	}
	return r.prune(ctx, pipeline.Namespace, former)
}

func (r *Recorder) create(ctx context.Context, pipeline *devopsv1alpha3.Pipeline, made *record) error {
	data, err := pack(pipeline.Spec.Pipeline.Jenkinsfile)
	if err != nil {
		return err
	}
	if len(data) > maxStored {
		made.Omitted, data = true, []byte("{}")
	}
	made.Stored, made.object = len(data), objectName(pipeline, made.Number)
	text, err := json.Marshal(made)
	if err != nil {
		return fmt.Errorf("encode the revision: %w", err)
	}
	obj := &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: pipeline.Namespace, Name: made.object,
			Labels:      map[string]string{PipelineLabel: reconcile.LabelValue(pipeline.Name)},
			Annotations: map[string]string{RevisionAnnotation: string(text)},
		},
		Revision: made.Number,
		Data:     runtime.RawExtension{Raw: data},
	}
	if err := controllerutil.SetControllerReference(pipeline, obj, r.Client.Scheme()); err != nil {
		return fmt.Errorf("own the revision: %w", err)
	}
	return r.Client.Create(ctx, obj)
}

// prune removes the oldest revisions that are too many.
func (r *Recorder) prune(ctx context.Context, namespace string, newestFirst []record) error {
	total := 0
	for i, old := range newestFirst {
		total += old.Stored
		if i < MaxRevisions && (total <= maxTotal || i == 0) {
			continue
		}
		obj := &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: old.object}}
		if err := client.IgnoreNotFound(r.Client.Delete(ctx, obj)); err != nil {
			return fmt.Errorf("remove an old revision of a Jenkinsfile: %w", err)
		}
	}
	return nil
}
