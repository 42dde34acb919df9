// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package gitrepository

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// sparse is an archive of files that are nothing but holes, in GNU's format 0.1 of sparse files.
func sparse(t *testing.T, files int, size int64) []byte {
	t.Helper()
	var out bytes.Buffer
	zipped := gzip.NewWriter(&out)
	block := func(name string, kind byte, content string) {
		header := make([]byte, 512)
		copy(header, name)
		copy(header[100:], "0000644\x000000000\x000000000\x00")
		copy(header[124:], fmt.Sprintf("%011o\x0000000000000\x00", len(content)))
		copy(header[257:], "ustar\x0000")
		header[156] = kind
		copy(header[148:], "        ")
		sum := 0
		for _, b := range header {
			sum += int(b)
		}
		copy(header[148:], fmt.Sprintf("%06o\x00 ", sum))
		padded := append([]byte(content), make([]byte, (512-len(content)%512)%512)...)
		if _, err := zipped.Write(append(header, padded...)); err != nil {
			t.Fatal(err)
		}
	}
	record := func(text string) string {
		for n := len(text) + 2; ; n++ {
			if line := fmt.Sprintf("%d %s\n", n, text); len(line) == n {
				return line
			}
		}
	}
	for i := range files {
		name := fmt.Sprint("f", i)
		block("pax", tar.TypeXHeader, record("GNU.sparse.map="+fmt.Sprintf("%d,0", size))+record("GNU.sparse.numblocks=1")+
			record(fmt.Sprint("GNU.sparse.size=", size))+record("GNU.sparse.name="+name))
		block(name, tar.TypeReg, "")
	}
	if _, err := zipped.Write(make([]byte, 1024)); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestUnpackHoles: files that take no room in an archive take it in memory.
func TestUnpackHoles(t *testing.T) {
	const size = 1 << 20
	list, err := unpack(NamedData{Name: "d", Data: sparse(t, 3, size)}, size, 3*size)
	if err != nil || len(list) != 3 || len(list[0].Content) != size {
		t.Fatalf("three files: %d, %v", len(list), err)
	}
	if _, err := unpack(NamedData{Name: "d", Data: sparse(t, 4, size)}, size, 3*size); !apierrors.IsRequestEntityTooLargeError(err) {
		t.Errorf("four files, where three are possible: %v", err)
	}
}
