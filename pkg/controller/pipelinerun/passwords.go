// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/runs"
	"github.com/slipway-dev/slipway/pkg/sealing"
)

// The kinds of parameters that are treated in their own way.
const (
	kindChoice   = "choice"
	kindBoolean  = "boolean"
	kindPassword = "password"
	kindFile     = "file"
)

// Sealer hides the values of passwords until the build is started; *sealing.Sealer is one.
type Sealer interface {
	Seal(place sealing.Place, value string) (string, error)
	Open(place sealing.Place, sealed string) (string, error)
}

func (s *scope) place(parameter string) sealing.Place {
	return sealing.Place{Namespace: s.run.Namespace, Pipeline: s.run.Spec.PipelineRef.Name, Parameter: parameter}
}

// hidePasswords takes the values of passwords out of the run: sealed as long as the start needs them,
// for good afterwards. What the pipeline has as their defaults is Jenkins' business alone.
func (s *scope) hidePasswords() {
	if spec := s.run.Spec.PipelineSpec; spec != nil {
		runs.WithoutPasswords(spec)
	}
	if len(s.run.Spec.Parameters) == 0 || s.run.Spec.PipelineRef == nil {
		return
	}
	if s.build() > 0 || s.queueItem() > 0 {
		s.maskSealed()
		return
	}
	if s.Sealer == nil {
		return
	}
	secret := s.passwords()
	for i := range s.run.Spec.Parameters {
		p := &s.run.Spec.Parameters[i]
		if !secret[p.Name] || sealing.Sealed(p.Value) || p.Value == sealing.Mask {
			continue
		}
		sealed, err := s.Sealer.Seal(s.place(p.Name), p.Value)
		if err != nil {
			// It cannot be kept, so it goes at once; the start says why there is none.
			sealed = sealing.Mask
		}
		p.Value = sealed
	}
}

// maskPasswords drops the values of passwords for good.
func (s *scope) maskPasswords() {
	s.maskSealed()
	if s.Sealer != nil || len(s.run.Spec.Parameters) == 0 {
		return
	}
	// Without a sealer they have been there in plain text.
	secret := s.passwords()
	for i := range s.run.Spec.Parameters {
		if p := &s.run.Spec.Parameters[i]; secret[p.Name] {
			p.Value = sealing.Mask
		}
	}
}

// maskSealed drops what was sealed for the start.
func (s *scope) maskSealed() {
	for i := range s.run.Spec.Parameters {
		if p := &s.run.Spec.Parameters[i]; sealing.Sealed(p.Value) {
			p.Value = sealing.Mask
		}
	}
}

// dropSecrets writes a run that ends without a start before its end is written: nobody looks at it again.
func (s *scope) dropSecrets(ctx context.Context) error {
	if s.seen == nil || !s.seen.unstarted || equality.Semantic.DeepEqual(s.run.Spec, s.read.Spec) {
		return nil
	}
	return s.write(ctx, "drop the passwords")
}

// passwords gives the names of the pipeline's password parameters, so far as they are known: those of
// the spec, of the Jenkinsfile, and of the branch as Jenkins last described it.
func (s *scope) passwords() map[string]bool {
	spec := s.run.Spec.PipelineSpec
	if s.pipeline != nil {
		spec = &s.pipeline.Spec
	}
	names := map[string]bool{}
	if spec != nil && spec.Pipeline != nil {
		for _, list := range [][]devopsv1alpha3.ParameterDefinition{spec.Pipeline.Parameters, s.Analyze(spec.Pipeline.Jenkinsfile).Parameters} {
			for _, d := range list {
				if d.Type == kindPassword {
					names[d.Name] = true
				}
			}
		}
	}
	if s.pipeline != nil && s.run.Spec.SCM != nil {
		branchPasswords(s.pipeline.Annotations[devopsv1alpha3.PipelineJenkinsBranchesAnnotation], s.run.Spec.SCM.RefName, names)
	}
	return names
}

// branchPasswords adds the password parameters of a branch from the annotation jenkins-branches.
func branchPasswords(text, branch string, names map[string]bool) {
	if !strings.Contains(text, "assword") {
		return
	}
	var branches []struct {
		Name       string `json:"name"`
		Parameters []struct {
			Name string `json:"name"`
			Type string `json:"type"`
		} `json:"parameters"`
	}
	if json.Unmarshal([]byte(text), &branches) != nil {
		return
	}
	for _, b := range branches {
		for _, p := range b.Parameters {
			// Jenkins' type is PasswordParameterDefinition; KubeSphere shortens it.
			if b.Name == branch && strings.HasPrefix(strings.ToLower(p.Type), kindPassword) {
				names[p.Name] = true
			}
		}
	}
}

// openParameters gives the values as the build gets them. It says what is wrong with a password that
// cannot be had.
func (s *scope) openParameters() (out []jenkins.Parameter, problem string) {
	for _, p := range s.run.Spec.Parameters {
		value := p.Value
		if sealing.Sealed(value) {
			if s.Sealer == nil {
				return nil, fmt.Sprintf("the parameter %s is sealed, and this installation has no key to open it", strconv.Quote(p.Name))
			}
			opened, err := s.Sealer.Open(s.place(p.Name), value)
			if errors.Is(err, sealing.ErrUnreadable) {
				return nil, fmt.Sprintf("the parameter %s is sealed, and cannot be opened: start another run and give its value", strconv.Quote(p.Name))
			}
			if err != nil {
				return nil, err.Error()
			}
			value = opened
		}
		out = append(out, jenkins.Parameter{Name: p.Name, Value: value})
	}
	return out, ""
}

// checkPassword refuses what stands for a password in a run that was read.
func checkPassword(v devopsv1alpha3.Parameter) string {
	if v.Value == sealing.Mask {
		return fmt.Sprintf("the parameter %s is a password, of which %s is only the mask, or which has more than %d bytes: give its value",
			strconv.Quote(v.Name), sealing.Mask, sealing.MaxValue)
	}
	return ""
}

// secretKind tells if two values of a parameter cannot be compared.
func secretKind(kind string) bool { return kind == kindPassword || kind == kindFile }

var _ Sealer = (*sealing.Sealer)(nil)
