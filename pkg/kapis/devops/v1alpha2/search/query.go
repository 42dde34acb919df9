// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package search

import (
	"fmt"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// maxPattern bounds the pattern in bytes: every pipeline is compared with it. Names have 253, and may be between stars.
const maxPattern = 512

// typePipeline is the only type that can be searched for.
const typePipeline = "pipeline"

// query is what the parameter q asks for.
type query struct {
	// namespace is the project's; empty: those of all projects.
	namespace string
	// pattern is for the name, "*" stands for anything; empty: all names.
	pattern string
}

// termsOf gives the parameter q of a raw query. Consoles send its semicolons as they are, and net/url drops a parameter that holds one.
func termsOf(raw string) string {
	for pair := range strings.SplitSeq(raw, "&") {
		value, found := strings.CutPrefix(pair, "q=")
		if !found {
			continue
		}
		if plain, err := url.QueryUnescape(value); err == nil {
			value = plain
		}
		return value
	}
	return ""
}

// parse reads terms as Blue Ocean has them, key:value or key=value, separated by ";", in any order:
//
//	type:pipeline;organization:jenkins;pipeline:project/*keyword*;excludedFromFlattening=jenkins.branch.MultiBranchProject
//
// Terms with other keys say how Jenkins is to show folders, and are ignored. No term at all finds all pipelines.
func parse(q string) (query, error) {
	var out query
	for term := range strings.SplitSeq(q, ";") {
		at := strings.IndexAny(term, ":=")
		if at < 0 {
			continue
		}
		key, value := strings.TrimSpace(term[:at]), strings.TrimSpace(term[at+1:])
		switch key {
		case "type":
			if value != typePipeline && value != "" {
				return out, apierrors.NewBadRequest(fmt.Sprintf("q: only type:pipeline can be searched for, got %q", clip(value)))
			}
		case "pipeline":
			// Consoles encode the keyword by itself; a name never holds a "%".
			if plain, err := url.PathUnescape(value); err == nil {
				value = plain
			}
			namespace, pattern, found := strings.Cut(strings.Trim(value, "/"), "/")
			if !found {
				namespace, pattern = "", namespace
				if strings.HasSuffix(value, "/") {
					namespace, pattern = pattern, ""
				}
			}
			if len(pattern) > maxPattern {
				return out, apierrors.NewBadRequest(fmt.Sprintf("q: the name of a pipeline is longer than %d bytes", maxPattern))
			}
			if strings.Contains(namespace, "*") {
				// A pattern of projects: all of them.
				namespace = ""
			}
			out.namespace, out.pattern = namespace, pattern
		}
	}
	return out, nil
}

// matches tells if a name fits the pattern, in any case.
func (q query) matches(name string) bool {
	pattern := strings.ToLower(q.pattern)
	if pattern == "" {
		return true
	}
	name = strings.ToLower(name)
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return name == pattern
	}
	first, last := parts[0], parts[len(parts)-1]
	if !strings.HasPrefix(name, first) {
		return false
	}
	name = name[len(first):]
	for _, part := range parts[1 : len(parts)-1] {
		at := strings.Index(name, part)
		if at < 0 {
			return false
		}
		name = name[at+len(part):]
	}
	return strings.HasSuffix(name, last)
}

// clip bounds what of a query is repeated in an answer.
func clip(text string) string {
	if len(text) > 100 {
		return strings.ToValidUTF8(text[:100], "") + "…"
	}
	return text
}
