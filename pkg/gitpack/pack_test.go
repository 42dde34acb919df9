// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitpack

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"os"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

// packed is a pack of one object, whose header declares a size.
func packed(t *testing.T, kind byte, size uint64, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("PACK")
	b.Write(binary.BigEndian.AppendUint32(nil, 2))
	b.Write(binary.BigEndian.AppendUint32(nil, 1))
	first := kind<<4 | byte(size&15)
	if size >>= 4; size > 0 {
		first |= 0x80
	}
	b.WriteByte(first)
	if size > 0 {
		b.Write(binary.AppendUvarint(nil, size))
	}
	if kind == byte(plumbing.REFDeltaObject) {
		b.Write(make([]byte, 20))
	}
	z := zlib.NewWriter(&b)
	if _, err := z.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestCheckPack(t *testing.T) {
	delta := func(target uint64) []byte { return binary.AppendUvarint(binary.AppendUvarint(nil, 10), target) }
	cases := map[string]struct {
		reason string
		pack   []byte
		left   int64
		want   error
	}{
		"small":       {pack: packed(t, byte(plumbing.BlobObject), 4, []byte("text")), left: 100},
		"large":       {reason: "the library would hold a commit of that size in memory", pack: packed(t, byte(plumbing.CommitObject), MaxObject+1, []byte("text")), left: 1 << 40, want: ErrTooLarge},
		"large delta": {reason: "a few bytes copy as many as they like", pack: packed(t, byte(plumbing.REFDeltaObject), uint64(len(delta(MaxObject+1))), delta(MaxObject+1)), left: 1 << 40, want: ErrTooLarge},
		"small delta": {pack: packed(t, byte(plumbing.REFDeltaObject), uint64(len(delta(20))), delta(20)), left: 100},
		"no delta":    {reason: "it has no sizes", pack: packed(t, byte(plumbing.REFDeltaObject), 1, []byte{0xff}), left: 100, want: ErrTooLarge},
		"together":    {reason: "all objects count", pack: packed(t, byte(plumbing.BlobObject), 4, []byte("text")), left: 3, want: ErrTooLarge},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if err := Check(bytes.NewReader(tc.pack), tc.left); !errors.Is(err, tc.want) {
				t.Errorf("%s: got %v, want %v", tc.reason, err, tc.want)
			}
		})
	}
}

// TestKeep: a pack that is refused leaves nothing behind.
func TestKeep(t *testing.T) {
	good := packed(t, byte(plumbing.BlobObject), 4, []byte("text"))
	for name, tc := range map[string]struct {
		pack []byte
		most int64
		ok   bool
	}{
		"good": {pack: good, most: 1 << 20, ok: true}, "too long": {pack: good, most: int64(len(good)) - 1},
		"damaged": {pack: good[:len(good)-4], most: 1 << 20}, "none": {pack: []byte("<html>"), most: 1 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			f, err := Keep(dir, bytes.NewReader(tc.pack), tc.most)
			if (err == nil) != tc.ok || (f != nil) != tc.ok {
				t.Fatalf("got %v, %v", f, err)
			}
			if f != nil {
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			}
			left, err := os.ReadDir(dir)
			if err != nil || (len(left) > 0) != tc.ok {
				t.Errorf("there is %v, %v", left, err)
			}
		})
	}
}
