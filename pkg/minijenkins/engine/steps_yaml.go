// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

// maxYAMLValues bounds the values of one text; aliases repeat what they stand for.
const maxYAMLValues = 200_000

func stepReadYaml(ctx context.Context, c *stepCall) (any, error) {
	text, err := c.dataText(ctx)
	if err != nil {
		return nil, err
	}
	docs, err := decodeYAML(text)
	if err != nil {
		return nil, &groovy.Exception{Class: "org.yaml.snakeyaml.error.YAMLException", Message: err.Error(), Pos: c.pos}
	}
	switch len(docs) {
	case 0:
		return nil, nil
	case 1:
		return docs[0], nil
	}
	return groovy.NewList(docs...), nil
}

// decodeYAML makes the script's values of each document. Keys keep their order.
func decodeYAML(text string) ([]any, error) {
	d := yaml.NewDecoder(strings.NewReader(text))
	left := maxYAMLValues
	var docs []any
	for {
		var doc yaml.Node
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, err
		}
		if len(docs) == maxYAMLDocs {
			return nil, errors.New("it has more than " + strconv.Itoa(maxYAMLDocs) + " documents")
		}
		v, err := yamlValue(&doc, &left, 0)
		if err != nil {
			return nil, err
		}
		docs = append(docs, v)
	}
}

func yamlValue(n *yaml.Node, left *int, depth int) (any, error) {
	if *left--; *left < 0 {
		return nil, errors.New("it has more than " + strconv.Itoa(maxYAMLValues) + " values")
	}
	if depth > maxDataDepth {
		return nil, errTooDeep
	}
	switch n.Kind {
	case yaml.DocumentNode:
		if len(n.Content) == 0 {
			return nil, nil
		}
		return yamlValue(n.Content[0], left, depth)
	case yaml.AliasNode:
		return yamlValue(n.Alias, left, depth+1)
	case yaml.SequenceNode:
		list := groovy.NewList()
		for _, item := range n.Content {
			v, err := yamlValue(item, left, depth+1)
			if err != nil {
				return nil, err
			}
			list.Items = append(list.Items, v)
		}
		return list, nil
	case yaml.MappingNode:
		return yamlMap(n, left, depth)
	case yaml.ScalarNode:
		return yamlScalar(n)
	}
	return nil, nil
}

// yamlMap reads a mapping. What it merges ("<<") counts less than its own keys.
func yamlMap(n *yaml.Node, left *int, depth int) (any, error) {
	m, merged := groovy.NewMap(), groovy.NewMap()
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, err := yamlValue(n.Content[i], left, depth+1)
		if err != nil {
			return nil, err
		}
		value, err := yamlValue(n.Content[i+1], left, depth+1)
		if err != nil {
			return nil, err
		}
		if n.Content[i].ShortTag() == "!!merge" {
			mergeYAML(merged, value)
			continue
		}
		m.Put(key, value)
	}
	for _, k := range merged.Keys() {
		if _, own := m.Get(k); !own {
			v, _ := merged.Get(k)
			m.Put(k, v)
		}
	}
	return m, nil
}

// mergeYAML adds the keys of a mapping, or of each of a list of them; the first one that has a key counts.
func mergeYAML(into *groovy.Map, value any) {
	switch v := value.(type) {
	case *groovy.List:
		for _, item := range v.Items {
			mergeYAML(into, item)
		}
	case *groovy.Map:
		for _, k := range v.Keys() {
			if _, has := into.Get(k); !has {
				x, _ := v.Get(k)
				into.Put(k, x)
			}
		}
	}
}

// yamlScalar reads a plain value as YAML 1.1 does, which Jenkins uses.
func yamlScalar(n *yaml.Node) (any, error) {
	plain := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle|yaml.TaggedStyle) == 0
	if plain {
		switch n.Value {
		case "yes", "Yes", "YES", "on", "On", "ON":
			return true, nil
		case "no", "No", "NO", "off", "Off", "OFF":
			return false, nil
		}
	}
	switch n.ShortTag() {
	case "!!null":
		return nil, nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true"), nil
	case "!!int":
		var i int64
		if err := n.Decode(&i); err == nil {
			return i, nil
		}
		fallthrough // bigger than 64 bits
	case "!!float":
		var f float64
		err := n.Decode(&f)
		return f, err
	}
	return n.Value, nil
}

func stepWriteYaml(ctx context.Context, c *stepCall) (any, error) {
	v, given := c.args["data"]
	if !given {
		return nil, &groovy.Exception{Class: "java.lang.IllegalArgumentException", Message: "writeYaml needs data", Pos: c.pos}
	}
	data, err := encodeYAML(v)
	if err != nil {
		return nil, failed("writeYaml: %v", err)
	}
	if file := c.text("file"); file != "" && !c.flag("overwrite") && flowOf(ctx).agent != nil {
		switch exists, err := c.exists(ctx, file); {
		case err != nil:
			return nil, err
		case exists:
			return nil, &groovy.Exception{Class: "java.nio.file.FileAlreadyExistsException", Message: flowOf(ctx).resolve(file) + " already exist and overwrite is false", Pos: c.pos}
		}
	}
	return c.putData(ctx, data)
}

// encodeYAML writes a value of the script; objects of the host count by their text. Keys keep their order.
func encodeYAML(v any) ([]byte, error) {
	n, err := yamlNode(v, &yamlRoom{maxYAMLValues, maxStdout}, 0)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	e.CompactSeqIndent()
	err = errors.Join(e.Encode(n), e.Close())
	return b.Bytes(), err
}

// yamlRoom is how many more values, and bytes of texts, a document may have.
type yamlRoom struct{ values, bytes int }

func yamlNode(v any, left *yamlRoom, depth int) (*yaml.Node, error) {
	if left.values--; left.values < 0 {
		return nil, errors.New("it has more than " + strconv.Itoa(maxYAMLValues) + " values")
	}
	if depth > maxDataDepth {
		return nil, errTooDeep
	}
	n := &yaml.Node{}
	switch x := v.(type) {
	case *groovy.List:
		n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		for _, item := range x.Items {
			child, err := yamlNode(item, left, depth+1)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, child)
		}
	case *groovy.Map:
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
		for _, k := range x.Keys() {
			value, _ := x.Get(k)
			key, err := yamlNode(k, left, depth+1)
			if err != nil {
				return nil, err
			}
			child, err := yamlNode(value, left, depth+1)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, key, child)
		}
	case nil, bool, int64, float64:
		if err := n.Encode(x); err != nil {
			return nil, err
		}
		if _, isFloat := x.(float64); isFloat && !strings.ContainsAny(n.Value, ".eEnN") {
			n.Tag, n.Value = "!!float", n.Value+".0"
		}
	default:
		text := groovy.ToString(v)
		if left.bytes -= len(text); left.bytes < 0 {
			return nil, errors.New("it has more than " + strconv.Itoa(maxStdout) + " bytes")
		}
		if err := n.Encode(text); err != nil {
			return nil, err
		}
	}
	return n, nil
}
