// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"reflect"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/lru"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

// Transform makes objects smaller before a cache takes them. The record of who wrote which field goes,
// and of runs also what kubectl remembers of an apply, which is the run once more: nobody writes a run
// back as a whole. What the runs of a pipeline have in common is kept once: the copy of the pipeline's spec
// with the Jenkinsfile, and short texts such as labels.
func Transform() toolscache.TransformFunc {
	s := &shared{texts: lru.New(sharedTexts), parts: lru.New(sharedParts)}
	return func(in any) (any, error) {
		obj, err := meta.Accessor(in)
		if err != nil {
			// What an informer tells of objects that are gone without their end being seen.
			return in, nil //nolint:nilerr // nothing of it is an object
		}
		if obj.GetManagedFields() != nil {
			obj.SetManagedFields(nil)
		}
		if run, ok := in.(*devopsv1alpha3.PipelineRun); ok {
			s.run(run)
		}
		return in, nil
	}
}

const (
	// sharedTexts and sharedParts bound what is remembered to be shared. What was forgotten is kept once
	// more.
	sharedTexts = 8192
	sharedParts = 4096
	// longText is from how many bytes on a text is taken to be unlike all others.
	longText = 128
)

// shared knows what is kept already.
type shared struct {
	mu    sync.Mutex
	texts *lru.Cache
	// parts are those of the last run of each pipeline.
	parts *lru.Cache
}

// parts are what the runs of a pipeline mostly have in common.
type parts struct {
	spec       *devopsv1alpha3.PipelineSpec
	ref        *corev1.ObjectReference
	labels     map[string]string
	finalizers []string
	owners     []metav1.OwnerReference
}

func (s *shared) run(run *devopsv1alpha3.PipelineRun) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(run.Annotations, corev1.LastAppliedConfigAnnotation)
	s.text(&run.Kind)
	s.text(&run.APIVersion)
	s.text(&run.Namespace)
	run.GenerateName = s.prefix(run.Name, run.GenerateName)
	run.Labels = s.pairs(run.Labels)
	run.Annotations = s.pairs(run.Annotations)
	s.common(run)
	if scm := run.Spec.SCM; scm != nil {
		s.text((*string)(&scm.RefType))
		s.text(&scm.RefName)
	}
	for i := range run.Spec.Parameters {
		s.text(&run.Spec.Parameters[i].Name)
	}
	s.text((*string)(&run.Status.Phase))
	for i := range run.Status.Conditions {
		condition := &run.Status.Conditions[i]
		s.text((*string)(&condition.Type))
		s.text((*string)(&condition.Status))
		s.text(&condition.Reason)
		s.text(&condition.Message)
	}
}

// text replaces a short text by the one that is kept.
func (s *shared) text(text *string) {
	if *text == "" || len(*text) > longText {
		return
	}
	if known, ok := s.texts.Get(*text); ok {
		*text = known.(string)
		return
	}
	*text = strings.Clone(*text)
	s.texts.Add(*text, *text)
}

// prefix gives a prefix of a text as a part of it.
func (s *shared) prefix(text, prefix string) string {
	if strings.HasPrefix(text, prefix) {
		return text[:len(prefix)]
	}
	return prefix
}

// pairs makes a map of the right size with shared texts; decoders let maps grow.
func (s *shared) pairs(pairs map[string]string) map[string]string {
	if len(pairs) == 0 {
		return nil
	}
	own := make(map[string]string, len(pairs))
	for key, value := range pairs {
		s.text(&key)
		s.text(&value)
		own[key] = value
	}
	return own
}

// common replaces the parts of a run by equal ones of the run of its pipeline that came before.
func (s *shared) common(run *devopsv1alpha3.PipelineRun) {
	ref := run.Spec.PipelineRef
	if ref == nil {
		return
	}
	own := parts{run.Spec.PipelineSpec, ref, run.Labels, run.Finalizers, run.OwnerReferences}
	key := objectKey{run.Namespace, ref.Name}
	if known, ok := s.parts.Get(key); ok {
		before := known.(parts)
		run.Spec.PipelineSpec = equalOr(before.spec, own.spec)
		run.Spec.PipelineRef = equalOr(before.ref, own.ref)
		run.Labels = equalOr(before.labels, own.labels)
		run.Finalizers = equalOr(before.finalizers, own.finalizers)
		run.OwnerReferences = equalOr(before.owners, own.owners)
		own = parts{run.Spec.PipelineSpec, run.Spec.PipelineRef, run.Labels, run.Finalizers, run.OwnerReferences}
	}
	s.parts.Add(key, own)
}

// equalOr gives what is known if it equals what is new.
func equalOr[T any](known, own T) T {
	if reflect.DeepEqual(known, own) {
		return known
	}
	return own
}
