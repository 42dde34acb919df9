// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// encodedBytes bounds the JSON that is kept for the next reader: the objects of some fifty pages
// that are looked at. An object that is not among them is encoded in about 20 µs.
const encodedBytes = 4 << 20

// encoder turns entries into JSON, each version once as long as it is read again and again.
type encoder struct {
	scheme *runtime.Scheme

	mu sync.Mutex
	// kept are the entries that have JSON, the oldest first; those that were used since get a second
	// chance when there is no more room.
	kept []*entry
	// dropped is how many of them have no JSON any more.
	dropped int
	bytes   int
	limit   int
}

func newEncoder(scheme *runtime.Scheme) *encoder {
	return &encoder{scheme: scheme, limit: encodedBytes}
}

// encode gives the JSON of an entry, which must not be changed. keep says that others will want it,
// too.
func (c *encoder) encode(e *entry, keep bool) ([]byte, error) {
	if known := e.json.Load(); known != nil {
		if !e.recent.Load() {
			e.recent.Store(true)
		}
		return *known, nil
	}
	encoded, err := c.marshal(e.obj)
	if err != nil {
		return nil, err
	}
	if keep && e.json.CompareAndSwap(nil, &encoded) {
		c.remember(e, len(encoded))
	}
	return encoded, nil
}

// buffers are for objects while they are encoded: their length is known only afterwards.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxPooled is the largest buffer that is used again.
const maxPooled = 1 << 20

// marshal encodes an object with kind and version and without the record of who wrote which field.
func (c *encoder) marshal(obj client.Object) ([]byte, error) {
	kind, err := apiutil.GVKForObject(obj, c.scheme)
	if err != nil {
		return nil, fmt.Errorf("find kind: %w", err)
	}
	if obj.GetObjectKind().GroupVersionKind() != kind || obj.GetManagedFields() != nil {
		// Both are fields of the object itself, so that a flat copy is enough.
		flat := reflect.New(reflect.TypeOf(obj).Elem())
		flat.Elem().Set(reflect.ValueOf(obj).Elem())
		obj = flat.Interface().(client.Object)
		obj.GetObjectKind().SetGroupVersionKind(kind)
		obj.SetManagedFields(nil)
	}
	buffer := buffers.Get().(*bytes.Buffer)
	buffer.Reset()
	defer func() {
		if buffer.Cap() <= maxPooled {
			buffers.Put(buffer)
		}
	}()
	writer := json.NewEncoder(buffer)
	// As all answers: no browser takes them for a page.
	writer.SetEscapeHTML(false)
	if err := writer.Encode(obj); err != nil {
		return nil, fmt.Errorf("encode %s: %w", obj.GetName(), err)
	}
	return bytes.Clone(bytes.TrimSuffix(buffer.Bytes(), []byte("\n"))), nil
}

// remember accounts for the JSON of an entry and makes room for it.
func (c *encoder) remember(e *entry, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept = append(c.kept, e)
	c.bytes += size
	for c.bytes > c.limit && len(c.kept) > 1 {
		oldest := c.kept[0]
		c.kept[0] = nil
		c.kept = c.kept[1:]
		known := oldest.json.Load()
		if known == nil {
			c.dropped--
			continue
		}
		if oldest.recent.CompareAndSwap(true, false) {
			c.kept = append(c.kept, oldest)
			continue
		}
		oldest.json.Store(nil)
		c.bytes -= len(*known)
	}
}

// forget drops the JSON of a version that is no more.
func (c *encoder) forget(e *entry) {
	if e.json.Load() == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	known := e.json.Swap(nil)
	if known == nil {
		return
	}
	c.bytes -= len(*known)
	c.dropped++
	// The places of dropped entries are given up now and then, as they hold on to old objects.
	if c.dropped > minDropped && c.dropped > len(c.kept)/2 {
		c.kept = slices.DeleteFunc(c.kept, func(kept *entry) bool { return kept.json.Load() == nil })
		c.dropped = 0
	}
}

// minDropped is how many entries without JSON may stay among the kept.
const minDropped = 64
