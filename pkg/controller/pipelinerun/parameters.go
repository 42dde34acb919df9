// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/controller/pipeline"
	"github.com/slipway-dev/slipway/pkg/sealing"
)

// maxListed bounds how many names a message lists.
const maxListed = 20

// checkParameters says what is wrong with the values of a run; empty if nothing is. Jenkins itself
// drops undefined values in silence. Where not all definitions are known, only values for known ones
// are checked.
func checkParameters(values []devopsv1alpha3.Parameter, defined []devopsv1alpha3.ParameterDefinition, complete bool) string {
	byName := map[string]devopsv1alpha3.ParameterDefinition{}
	for _, d := range defined {
		byName[d.Name] = d
	}
	seen := map[string]bool{}
	var unknown, problems []string
	for _, v := range values {
		d, ok := byName[v.Name]
		switch {
		case seen[v.Name]:
			problems = append(problems, fmt.Sprintf("the parameter %s is given twice", strconv.Quote(v.Name)))
		case !ok && complete:
			unknown = append(unknown, strconv.Quote(v.Name))
		case ok:
			if problem := checkValue(v, d); problem != "" {
				problems = append(problems, problem)
			}
		}
		seen[v.Name] = true
	}
	if len(unknown) > 0 {
		text := "the pipeline defines no parameters"
		if names := slices.Sorted(maps.Keys(byName)); len(names) > 0 {
			text = "it defines " + listed(names)
		}
		problems = append(problems, fmt.Sprintf("the pipeline does not define %s; %s", listed(unknown), text))
	}
	return listed(problems)
}

func checkValue(v devopsv1alpha3.Parameter, d devopsv1alpha3.ParameterDefinition) string {
	switch d.Type {
	case kindPassword:
		return checkPassword(v)
	case kindFile:
		// Jenkins takes the upload and puts it where a Pipeline cannot read it (JENKINS-27413).
		return fmt.Sprintf("the parameter %s is a file, which Jenkins does not hand to a Pipeline: store the file in the repository or an object store, or leave the parameter out", strconv.Quote(v.Name))
	case kindChoice:
		if choices := pipeline.Choices(d); len(choices) > 0 && !slices.Contains(choices, v.Value) {
			return fmt.Sprintf("the parameter %s cannot be %s; it is one of %s", strconv.Quote(v.Name), strconv.Quote(shortened(v.Value)), listed(choices))
		}
	case kindBoolean:
		if v.Value != "true" && v.Value != "false" {
			return fmt.Sprintf("the parameter %s must be true or false", strconv.Quote(v.Name))
		}
	}
	return ""
}

func listed(items []string) string {
	more := ""
	if len(items) > maxListed {
		more = fmt.Sprintf(" and %d more", len(items)-maxListed)
		items = items[:maxListed]
	}
	short := make([]string, len(items))
	for i, item := range items {
		short[i] = shortened(item)
	}
	return strings.Join(short, ", ") + more
}

// shortened bounds a text that a user wrote and that is repeated in a message.
func shortened(text string) string {
	const limit = 600
	if len(text) > limit {
		return strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}

// fingerprint is the same for two runs that Jenkins would merge in its queue: those whose parameters
// have equal values once the defaults are filled in. Passwords count as equal: those of other runs
// cannot be read, and to wait for a turn costs little. It is a hash, as values may be secrets all the same.
func fingerprint(values []devopsv1alpha3.Parameter, defined []devopsv1alpha3.ParameterDefinition) string {
	effective, secret := map[string]string{}, map[string]bool{}
	for _, d := range defined {
		effective[d.Name] = d.DefaultValue
		if choices := pipeline.Choices(d); d.Type == kindChoice && len(choices) > 0 {
			effective[d.Name] = choices[0]
		}
		secret[d.Name] = secretKind(d.Type)
	}
	for _, v := range values {
		effective[v.Name] = v.Value
		secret[v.Name] = secret[v.Name] || sealing.Sealed(v.Value) || v.Value == sealing.Mask
	}
	for _, d := range defined {
		if d.Trim {
			// As Jenkins does before it compares: what String.trim of Java takes away.
			effective[d.Name] = strings.TrimFunc(effective[d.Name], func(r rune) bool { return r <= ' ' })
		}
	}
	for name, hidden := range secret {
		if hidden {
			effective[name] = ""
		}
	}
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(effective)) {
		sum.Write(fmt.Appendf(nil, "%d:%s=%d:%s;", len(name), name, len(effective[name]), effective[name]))
	}
	return hex.EncodeToString(sum.Sum(nil))
}
