// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is the greatest length of an item's name in bytes: Jenkins stores an item as a folder and
// fails beyond what a file system takes.
const maxName = 255

// nameError is the message for a bad name; header says that Jenkins puts it into X-Error too, which
// it does with texts that are plain ASCII.
type nameError struct{ message string }

func (e *nameError) Error() string { return e.message }

// checkName checks a name for a new item as Jenkins does.
func checkName(name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return &nameError{"No name is specified"}
	case name == "." || name == "..":
		return &nameError{"“" + name + "” is not an allowed name"}
	case !utf8.ValidString(name):
		return &nameError{"the name is not valid UTF-8"}
	}
	for _, r := range name {
		if unicode.IsControl(r) {
			return &nameError{"No control code is allowed: " + showControls(name)}
		}
		if strings.ContainsRune(`?*/\%!@#$^&|<>[]:;`, r) {
			return &nameError{"‘" + string(r) + "’ is an unsafe character"}
		}
	}
	if strings.HasSuffix(strings.TrimSpace(name), ".") {
		return &nameError{"A name cannot end with ‘.’"}
	}
	return nil
}

func showControls(s string) string {
	var b strings.Builder
	for _, r := range s {
		if unicode.IsControl(r) {
			fmt.Fprintf(&b, `\u%d;`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
