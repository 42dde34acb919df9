// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

const (
	// maxDataDepth bounds how deep JSON and YAML may nest, maxYAMLDocs how many documents a text may have.
	maxDataDepth = 200
	maxYAMLDocs  = 1000
)

var errTooDeep = errors.New("it nests deeper than " + strconv.Itoa(maxDataDepth) + " levels")

// dataText is the text of readJSON and readYaml: that of the file or the argument text.
func (c *stepCall) dataText(ctx context.Context) (string, error) {
	file, text := c.text("file"), c.text("text")
	switch {
	case file == "" && c.args["text"] == nil:
		return "", &groovy.Exception{Class: "java.lang.IllegalArgumentException", Message: "At least one of file or text needs to be provided to " + c.name + ".", Pos: c.pos}
	case file == "":
		return text, nil
	case text != "":
		return "", failed("%s: file and text together are not supported by the built-in runner; use Jenkins", c.name)
	case flowOf(ctx).agent == nil:
		return "", failed("%s needs an agent to read a file", c.name)
	}
	content, err := c.readAgentFile(ctx, flowOf(ctx).resolve(file))
	return string(content), err
}

func stepReadJSON(ctx context.Context, c *stepCall) (any, error) {
	text, err := c.dataText(ctx)
	if err != nil {
		return nil, err
	}
	v, err := decodeJSON([]byte(text))
	if err != nil {
		return nil, &groovy.Exception{Class: "net.sf.json.JSONException", Message: "Invalid JSON String: " + err.Error(), Pos: c.pos}
	}
	return v, nil
}

// decodeJSON makes the script's values of one JSON document. Keys keep their order.
func decodeJSON(data []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := jsonValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more behind the first value")
	}
	return v, nil
}

func jsonValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxDataDepth {
		return nil, errTooDeep
	}
	tok, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := tok.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(t.String(), 10, 64); err == nil {
			return n, nil
		}
		return t.Float64()
	case json.Delim:
		if t == '[' {
			return jsonList(d, depth)
		}
		return jsonMap(d, depth)
	}
	return tok, nil
}

func jsonList(d *json.Decoder, depth int) (any, error) {
	list := groovy.NewList()
	for d.More() {
		v, err := jsonValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		list.Items = append(list.Items, v)
	}
	_, err := d.Token()
	return list, err
}

func jsonMap(d *json.Decoder, depth int) (any, error) {
	m := groovy.NewMap()
	for d.More() {
		k, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := jsonValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		m.Put(k, v)
	}
	_, err := d.Token()
	return m, err
}

// encodeJSON writes a value of the script as JSON; objects of the host count by their text.
func encodeJSON(b *bytes.Buffer, v any, depth int) error {
	if depth > maxDataDepth {
		return errTooDeep
	}
	if b.Len() > maxStdout {
		return errors.New("it has more than " + itoa(maxStdout) + " bytes")
	}
	switch x := v.(type) {
	case *groovy.List:
		b.WriteByte('[')
		for i, item := range x.Items {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := encodeJSON(b, item, depth+1); err != nil {
				return err
			}
		}
		b.WriteByte(']')
		return nil
	case *groovy.Map:
		b.WriteByte('{')
		for i, k := range x.Keys() {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := encodeScalar(b, groovy.ToString(k)); err != nil {
				return err
			}
			b.WriteByte(':')
			item, _ := x.Get(k)
			if err := encodeJSON(b, item, depth+1); err != nil {
				return err
			}
		}
		b.WriteByte('}')
		return nil
	case nil, bool, int64, float64, string:
		return encodeScalar(b, x)
	}
	return encodeScalar(b, groovy.ToString(v))
}

func encodeScalar(b *bytes.Buffer, v any) error {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	b.Truncate(b.Len() - 1) // the line end of Encode
	return nil
}

func stepWriteJSON(ctx context.Context, c *stepCall) (any, error) {
	v, given := c.args["json"]
	if !given {
		return nil, &groovy.Exception{Class: "java.lang.IllegalArgumentException", Message: "You have to provided json parameter.", Pos: c.pos}
	}
	var b bytes.Buffer
	if err := encodeJSON(&b, v, 0); err != nil {
		return nil, failed("writeJSON: %v", err)
	}
	if n, ok := c.args["pretty"].(int64); ok && n > 0 {
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, b.Bytes(), "", strings.Repeat(" ", int(min(n, 16)))); err != nil {
			return nil, failed("writeJSON: %v", err)
		}
		b = pretty
	}
	return c.putData(ctx, b.Bytes())
}

// putData gives the text to the script or writes it into the file.
func (c *stepCall) putData(ctx context.Context, data []byte) (any, error) {
	file := c.text("file")
	switch returnText := c.flag("returnText"); {
	case returnText && file != "":
		return nil, &groovy.Exception{Class: "java.lang.IllegalArgumentException", Message: "cannot provide both file and returnText to " + c.name + ".", Pos: c.pos}
	case returnText:
		return string(data), nil
	case file == "":
		return nil, &groovy.Exception{Class: "java.lang.IllegalArgumentException", Message: "either file or returnText must be provided to " + c.name + ".", Pos: c.pos}
	case flowOf(ctx).agent == nil:
		return nil, failed("%s needs an agent to write a file", c.name)
	}
	target := flowOf(ctx).resolve(file)
	return nil, c.onAgentOnly(ctx, func(ctx context.Context, a *agentHandle, _ string) error { return a.WriteFile(ctx, target, data) })
}

// exists tells if there is a file of that name in the current folder.
func (c *stepCall) exists(ctx context.Context, file string) (exists bool, err error) {
	file = flowOf(ctx).resolve(file)
	return onAgent(ctx, c, func(ctx context.Context, a *agentHandle, _ string) (bool, error) {
		r, err := a.Open(ctx, file)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		return true, r.Close()
	})
}
