// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkinstest

import (
	"strconv"
	"strings"
)

// node is a parsed "tree" parameter: the names that are asked for, with what is asked for below them. Nil asks for everything.
type node map[string]*field

type field struct {
	below  node
	to     int // end of the range {from,to}, -1: none
	ranged bool
}

// parseTree reads "jobs[name,builds[number]{0,20}]". Empty is nil.
func parseTree(s string) node {
	if s == "" {
		return nil
	}
	n, _ := parseFields(s)
	return n
}

func parseFields(s string) (node, string) {
	n := node{}
	for s != "" && s[0] != ']' {
		end := strings.IndexAny(s, "[]{},")
		if end < 0 {
			end = len(s)
		}
		f := &field{to: -1}
		n[strings.TrimSpace(s[:end])] = f
		s = s[end:]
		if strings.HasPrefix(s, "[") {
			f.below, s = parseFields(s[1:])
			s = strings.TrimPrefix(s, "]")
		}
		if strings.HasPrefix(s, "{") {
			r, rest, _ := strings.Cut(s[1:], "}")
			_, to, _ := strings.Cut(r, ",")
			if v, err := strconv.Atoi(to); err == nil {
				f.to = v
			}
			f.ranged, s = true, rest
		}
		s = strings.TrimPrefix(s, ",")
	}
	return n, s
}

// covers reports whether an answer to n holds what want asks for.
func (n node) covers(want node) bool {
	if n == nil {
		return true
	}
	if want == nil {
		return false
	}
	for name, w := range want {
		f := n[name]
		if f == nil {
			if n["*"] == nil {
				return false
			}
			continue
		}
		if w.below != nil && f.below != nil && !f.below.covers(w.below) {
			return false
		}
		if f.ranged && (!w.ranged || w.to > f.to) {
			return false
		}
	}
	return true
}

// project cuts a JSON value to what n asks for, as Jenkins does. The class always stays.
func project(v any, n node) any {
	if n == nil {
		return v
	}
	switch v := v.(type) {
	case []any:
		out := make([]any, 0, len(v))
		for _, x := range v {
			out = append(out, project(x, n))
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			f := n[k]
			switch {
			case k == "_class" || f == nil && n["*"] != nil:
				out[k] = x
			case f != nil:
				x = project(x, f.below)
				if list, ok := x.([]any); ok && f.to >= 0 && len(list) > f.to {
					x = list[:f.to]
				}
				out[k] = x
			}
		}
		return out
	}
	return v
}
