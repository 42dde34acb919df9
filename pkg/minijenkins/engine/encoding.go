// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/base64"
	"strings"

	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

// The encodings that steps know. Those of Java have further names for the same.
const (
	encodingUTF8 = iota
	encodingLatin1
	encodingBase64
)

// encoding reads the argument encoding: UTF-8 and its part US-ASCII, ISO-8859-1, and Base64 where files are read and written.
func (c *stepCall) encoding() (int, error) {
	e := c.text("encoding")
	switch strings.ToUpper(e) {
	case "", "UTF-8", "UTF8", "US-ASCII", "ASCII":
		return encodingUTF8, nil
	case "ISO-8859-1", "ISO8859-1", "LATIN1":
		return encodingLatin1, nil
	case "BASE64":
		if c.name != "sh" {
			return encodingBase64, nil
		}
	}
	return 0, failed("%s: encoding %s is not supported by the built-in runner; use UTF-8, ISO-8859-1 or Jenkins", c.name, clip(e))
}

// decoder turns what a file or a script has into text.
func (c *stepCall) decoder() (func([]byte) string, error) {
	e, err := c.encoding()
	switch e {
	case encodingLatin1:
		return func(data []byte) string {
			runes := make([]rune, len(data))
			for i, b := range data {
				runes[i] = rune(b)
			}
			return string(runes)
		}, err
	case encodingBase64:
		return base64.StdEncoding.EncodeToString, err
	}
	return func(data []byte) string { return string(data) }, err
}

// encoded turns text into what a file has.
func (c *stepCall) encoded(text string) ([]byte, error) {
	e, err := c.encoding()
	if err != nil {
		return nil, err
	}
	switch e {
	case encodingLatin1:
		out := make([]byte, 0, len(text))
		for _, r := range text {
			if r > 0xff {
				r = '?' // as Java does
			}
			out = append(out, byte(r))
		}
		return out, nil
	case encodingBase64:
		data, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
		if err != nil {
			return nil, &groovy.Exception{Class: "java.lang.IllegalArgumentException", Message: c.name + ": the text is no Base64", Pos: c.pos}
		}
		return data, nil
	}
	return []byte(text), nil
}
