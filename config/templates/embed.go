// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package templates holds the ClusterTemplates and ClusterStepTemplates that Slipway brings along, so that
// a program can install them.
package templates

import (
	"embed"
	"fmt"
	"io/fs"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

// FS holds one YAML file a template, in a folder for each kind.
//
//go:embed clustertemplates/*.yaml clustersteptemplates/*.yaml
var FS embed.FS

// ClusterTemplates gives the templates of Jenkinsfiles in the order of their file names.
func ClusterTemplates() ([]*devopsv1alpha3.ClusterTemplate, error) {
	return read("clustertemplates/*.yaml", func() *devopsv1alpha3.ClusterTemplate { return &devopsv1alpha3.ClusterTemplate{} })
}

// ClusterStepTemplates gives the templates of steps in the order of their file names.
func ClusterStepTemplates() ([]*devopsv1alpha3.ClusterStepTemplate, error) {
	return read("clustersteptemplates/*.yaml", func() *devopsv1alpha3.ClusterStepTemplate { return &devopsv1alpha3.ClusterStepTemplate{} })
}

// All gives the templates of both kinds.
func All() ([]client.Object, error) {
	pipelines, err := ClusterTemplates()
	if err != nil {
		return nil, err
	}
	steps, err := ClusterStepTemplates()
	if err != nil {
		return nil, err
	}
	all := make([]client.Object, 0, len(pipelines)+len(steps))
	for _, t := range pipelines {
		all = append(all, t)
	}
	for _, t := range steps {
		all = append(all, t)
	}
	return all, nil
}

func read[T any](pattern string, empty func() T) ([]T, error) {
	files, err := fs.Glob(FS, pattern)
	if err != nil {
		return nil, fmt.Errorf("list embedded templates: %w", err)
	}
	out := make([]T, 0, len(files))
	for _, file := range files {
		content, err := FS.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read embedded template: %w", err)
		}
		object := empty()
		if err := yaml.UnmarshalStrict(content, object); err != nil {
			return nil, fmt.Errorf("decode embedded template %s: %w", file, err)
		}
		out = append(out, object)
	}
	return out, nil
}
