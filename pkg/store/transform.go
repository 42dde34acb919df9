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
	s := &shared{texts: lru.New(sharedTexts), specs: lru.New(sharedSpecs)}
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
	// sharedTexts and sharedSpecs bound what is remembered to be shared. What was forgotten is kept once
	// more.
	sharedTexts = 8192
	sharedSpecs = 4096
	// longText is from how many bytes on a text is taken to be unlike all others.
	longText = 128
)

// shared knows what is kept already.
type shared struct {
	mu    sync.Mutex
	texts *lru.Cache
	// specs are the last ones of each pipeline.
	specs *lru.Cache
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
	for i := range run.Finalizers {
		s.text(&run.Finalizers[i])
	}
	for i := range run.OwnerReferences {
		s.owner(&run.OwnerReferences[i])
	}
	if ref := run.Spec.PipelineRef; ref != nil {
		s.text(&ref.Kind)
		s.text(&ref.Namespace)
		s.text(&ref.Name)
		s.text(&ref.APIVersion)
	}
	if scm := run.Spec.SCM; scm != nil {
		s.text((*string)(&scm.RefType))
		s.text(&scm.RefName)
	}
	for i := range run.Spec.Parameters {
		s.text(&run.Spec.Parameters[i].Name)
	}
	s.spec(run)
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
		*text = known.(string) //nolint:errcheck // the cache holds nothing else
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

func (s *shared) owner(owner *metav1.OwnerReference) {
	s.text(&owner.APIVersion)
	s.text(&owner.Kind)
	s.text(&owner.Name)
	s.text((*string)(&owner.UID))
}

// spec replaces the copy of the pipeline's spec by the one of an earlier run, if they are equal.
func (s *shared) spec(run *devopsv1alpha3.PipelineRun) {
	if run.Spec.PipelineSpec == nil || run.Spec.PipelineRef == nil {
		return
	}
	key := objectKey{run.Namespace, run.Spec.PipelineRef.Name}
	known, ok := s.specs.Get(key)
	if ok && reflect.DeepEqual(known, run.Spec.PipelineSpec) {
		run.Spec.PipelineSpec = known.(*devopsv1alpha3.PipelineSpec) //nolint:errcheck // the cache holds nothing else
		return
	}
	s.specs.Add(key, run.Spec.PipelineSpec)
}
