// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jobxml

import (
	"encoding/xml"
	"fmt"
	"strings"
	"unicode/utf8"
)

// text is the content of an element. It is written in XML 1.1: characters that may only stand there as references become such.
type text string

// readable undoes the references that xml.EscapeText makes without need, as they only make scripts hard to read.
var readable = strings.NewReplacer("&#xA;", "\n", "&#x9;", "\t", "&#34;", "\"", "&#39;", "'")

// MarshalXML implements xml.Marshaler.
func (t text) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	raw, err := escaped(string(t))
	if err != nil {
		return fmt.Errorf("<%s> %w", start.Name.Local, err)
	}
	return e.EncodeElement(struct {
		Raw string `xml:",innerxml"`
	}{raw}, start)
}

// escaped returns a text as it stands in a document.
func escaped(s string) (string, error) {
	var b strings.Builder
	rest := s
	for rest != "" {
		i := strings.IndexFunc(rest, needsReference)
		if i < 0 {
			i = len(rest)
		}
		var part strings.Builder
		if err := xml.EscapeText(&part, []byte(rest[:i])); err != nil {
			return "", err
		}
		b.WriteString(readable.Replace(part.String()))
		if rest = rest[i:]; rest == "" {
			break
		}
		r, n := utf8.DecodeRuneInString(rest)
		if r == 0 || r == 0xFFFE || r == 0xFFFF || r == utf8.RuneError && n == 1 {
			return "", fmt.Errorf("has %q, which XML cannot hold, in line %d", rest[:n], line(s, len(s)-len(rest)))
		}
		fmt.Fprintf(&b, "&#%d;", r)
		rest = rest[n:]
	}
	return b.String(), nil
}

func line(s string, offset int) int { return 1 + strings.Count(s[:offset], "\n") }

// needsReference reports what XML 1.1 does not allow as it is, or would turn into a line feed (U+0085, U+2028), and what it does
// not allow at all.
func needsReference(r rune) bool {
	return isRestricted(r) || r == 0x85 || r == 0x2028 || r == 0 || r == 0xFFFE || r == 0xFFFF || r == utf8.RuneError
}

// isRestricted reports whether r is a RestrictedChar of XML 1.1.
func isRestricted(r rune) bool {
	return r >= 0x1 && r <= 0x8 || r == 0xB || r == 0xC || r >= 0xE && r <= 0x1F || r >= 0x7F && r <= 0x84 || r >= 0x86 && r <= 0x9F
}
