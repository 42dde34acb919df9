// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"unicode/utf16"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// maxJSONDepth bounds how deep JSON may nest.
const maxJSONDepth = 200

// jsonSlurper is groovy.json.JsonSlurper or JsonSlurperClassic.
type jsonSlurper struct {
	m     *Machine
	class string
}

// Property implements Object.
func (j *jsonSlurper) Property(context.Context, string) (any, bool, error) { return nil, false, nil }

// SetProperty implements Object.
func (j *jsonSlurper) SetProperty(context.Context, string, any) (bool, error) { return false, nil }

// String implements Object.
func (j *jsonSlurper) String() string { return j.class + "@1" }

// ClassName implements Object.
func (j *jsonSlurper) ClassName() string { return j.class }

// Call implements Object.
func (j *jsonSlurper) Call(ctx context.Context, name string, args []any) (any, bool, error) {
	s, ok := text(first(args))
	if name != "parseText" || len(args) != 1 {
		return nil, false, nil
	}
	if !ok || s == "" {
		return nil, true, &Exception{Class: "java.lang.IllegalArgumentException", Message: "Text must not be null or empty"}
	}
	f := j.m.frame(ctx)
	f.open()
	defer f.close()
	v, err := f.fromJSON(s, jenkinsfile.Pos{})
	return v, true, err
}

// fromJSON reads a value; objects keep the order of their keys.
func (f *frame) fromJSON(s string, pos jenkinsfile.Pos) (any, error) {
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	v, err := f.jsonValue(d, pos, 0)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is something behind the value")
		}
	}
	var limit *LimitError
	if err != nil && !errors.As(err, &limit) {
		return nil, throw(pos, "groovy.json.JsonException", "Unable to parse the text as JSON: %v", err)
	}
	return v, err
}

func (f *frame) jsonValue(d *json.Decoder, pos jenkinsfile.Pos, depth int) (any, error) {
	if err := f.tick(pos); err != nil {
		return nil, err
	}
	if depth > maxJSONDepth {
		return nil, fmt.Errorf("nested deeper than %d levels", maxJSONDepth)
	}
	tok, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := tok.(type) {
	case json.Delim:
		if t == '[' {
			return f.jsonList(d, pos, depth)
		}
		return f.jsonMap(d, pos, depth)
	case json.Number:
		return jsonNumber(t.String()), nil
	case string:
		return t, f.charge(len(t), pos)
	}
	return tok, nil
}

func jsonNumber(s string) any {
	if n, ok := new(big.Int).SetString(s, 10); ok && len(s) <= maxScale {
		switch {
		case n.IsInt64() && isInteger(n.Int64()):
			return n.Int64()
		case n.IsInt64():
			return Long(n.Int64())
		}
		return n
	}
	if d, ok := parseDecimal(s); ok {
		return d
	}
	return s
}

func (f *frame) jsonList(d *json.Decoder, pos jenkinsfile.Pos, depth int) (any, error) {
	out := &List{}
	defer f.release(len(f.held))
	f.hold(out)
	for d.More() {
		v, err := f.jsonValue(d, pos, depth+1)
		if err != nil {
			return nil, err
		}
		out.Items = append(out.Items, v)
		if err := f.settle(out, pos); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return out, err
}

func (f *frame) jsonMap(d *json.Decoder, pos jenkinsfile.Pos, depth int) (any, error) {
	out := NewMap()
	defer f.release(len(f.held))
	f.hold(out)
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := f.jsonValue(d, pos, depth+1)
		if err != nil {
			return nil, err
		}
		out.Put(key, v)
		if err := f.settleMap(out, pos); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return out, err
}

// jsonWriter writes values as groovy.json.JsonOutput does.
type jsonWriter struct {
	f    *frame
	pos  jenkinsfile.Pos
	out  bytes.Buffer
	left int
	// pretty writes an item on each line.
	pretty bool
}

func (f *frame) toJSON(v any, pos jenkinsfile.Pos) (any, error) {
	w := &jsonWriter{f: f, pos: pos, left: maxWalk}
	if err := w.value(v, 0); err != nil {
		return nil, err
	}
	return f.checked(w.out.String(), pos)
}

func (f *frame) prettyJSON(s string, pos jenkinsfile.Pos) (any, error) {
	v, err := f.fromJSON(s, pos)
	if err != nil {
		return nil, err
	}
	w := &jsonWriter{f: f, pos: pos, left: maxWalk, pretty: true}
	if err := w.value(v, 0); err != nil {
		return nil, err
	}
	return f.checked(w.out.String(), pos)
}

func (w *jsonWriter) value(v any, depth int) error {
	if w.left--; w.left < 0 || depth > maxJSONDepth || w.out.Len() > w.f.m.limits.StringBytes {
		return &LimitError{Message: "JSON is too big or nested too deep", Pos: w.pos}
	}
	if err := w.f.tick(w.pos); err != nil {
		return err
	}
	switch v := v.(type) {
	case nil, bool, int64, Long, *big.Int, Decimal, float64:
		w.out.WriteString(ToString(v))
		return nil
	case *List:
		return w.items('[', ']', len(v.Items), depth, func(i int) error { return w.value(v.Items[i], depth+1) })
	case *Map:
		return w.items('{', '}', v.Len(), depth, func(i int) error {
			w.text(ToString(v.keys[i]))
			w.out.WriteByte(':')
			if w.pretty {
				w.out.WriteByte(' ')
			}
			return w.value(v.value(v.keys[i]), depth+1)
		})
	case *Date:
		w.text(v.at().Format("2006-01-02T15:04:05-0700"))
		return nil
	case *Closure:
		return throw(w.pos, "java.lang.IllegalArgumentException", "a closure can not be written as JSON")
	}
	w.text(ToString(v))
	return nil
}

func (w *jsonWriter) items(open, end byte, n, depth int, item func(i int) error) error {
	line := func(depth int) {
		if w.pretty {
			w.out.WriteString("\n" + strings.Repeat("    ", depth))
		}
	}
	w.out.WriteByte(open)
	line(depth + 1)
	for i := range n {
		if i > 0 {
			w.out.WriteByte(',')
			line(depth + 1)
		}
		if err := item(i); err != nil {
			return err
		}
	}
	line(depth)
	w.out.WriteByte(end)
	return nil
}

// text writes a string with everything but ASCII escaped.
func (w *jsonWriter) text(s string) {
	w.out.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			w.out.WriteByte('\\')
			w.out.WriteRune(r)
		case r == '\n':
			w.out.WriteString(`\n`)
		case r == '\r':
			w.out.WriteString(`\r`)
		case r == '\t':
			w.out.WriteString(`\t`)
		case r == '\b':
			w.out.WriteString(`\b`)
		case r == '\f':
			w.out.WriteString(`\f`)
		case r < ' ' || r > '~':
			units := utf16.Encode([]rune{r})
			for _, u := range units {
				fmt.Fprintf(&w.out, `\u%04x`, u)
			}
		default:
			w.out.WriteRune(r)
		}
	}
	w.out.WriteByte('"')
}
