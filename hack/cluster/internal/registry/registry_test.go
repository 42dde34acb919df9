// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

type client struct {
	t    *testing.T
	base string
}

// do makes a request and returns the answer, which must have the status.
func (c client) do(method, path string, body []byte, status int) (http.Header, []byte) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if resp.StatusCode != status {
		c.t.Fatalf("%s %s: status %d, want %d: %s", method, path, resp.StatusCode, status, got)
	}
	return resp.Header, got
}

func serve(t *testing.T, dir string) client {
	t.Helper()
	r, err := New(dir)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	return client{t, server.URL}
}

func TestImageSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	c := serve(t, dir)
	c.do("GET", "/v2/", nil, 200)
	blob := []byte("layer")
	// In pieces, as containers' build tools do.
	h, _ := c.do("POST", "/v2/a/b/blobs/uploads/", nil, 202)
	h, _ = c.do("PATCH", h.Get("Location"), blob[:2], 202)
	if got := h.Get("Range"); got != "0-1" {
		t.Errorf("range after the first piece is %q", got)
	}
	c.do("PUT", h.Get("Location")+"?digest="+digestOf(blob), blob[2:], 201)
	config := []byte("{}")
	c.do("POST", "/v2/a/b/blobs/uploads/?digest="+digestOf(config), config, 201)
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2,
		"config":        map[string]string{"digest": digestOf(config)},
		"layers":        []any{map[string]string{"digest": digestOf(blob)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	c.do("PUT", "/v2/a/b/manifests/v1", manifest, 201)

	c = serve(t, dir)
	for _, ref := range []string{"v1", digestOf(manifest)} {
		h, got := c.do("GET", "/v2/a/b/manifests/"+ref, nil, 200)
		if !bytes.Equal(got, manifest) || h.Get("Docker-Content-Digest") != digestOf(manifest) || h.Get("Content-Type") != mediaTypeManifest {
			t.Errorf("%s: got %s with %v", ref, got, h)
		}
		c.do("HEAD", "/v2/a/b/manifests/"+ref, nil, 200)
	}
	if _, got := c.do("GET", "/v2/a/b/blobs/"+digestOf(blob), nil, 200); !bytes.Equal(got, blob) {
		t.Errorf("blob is %q", got)
	}
	if _, got := c.do("GET", "/v2/a/b/tags/list", nil, 200); !strings.Contains(string(got), `["v1"]`) {
		t.Errorf("tags are %s", got)
	}
	if _, got := c.do("GET", "/v2/_catalog", nil, 200); !strings.Contains(string(got), `["a/b"]`) {
		t.Errorf("catalog is %s", got)
	}
	c.do("DELETE", "/v2/a/b/manifests/v1", nil, 202)
	c.do("GET", "/v2/a/b/manifests/v1", nil, 404)
}

func TestWhatIsRefused(t *testing.T) {
	c := serve(t, t.TempDir())
	some := digestOf([]byte("x"))
	for _, tc := range []struct {
		name, method, path, body string
		status                   int
	}{
		{"blob that is not there", "GET", "/v2/a/blobs/" + some, "", 404},
		{"digest that leads elsewhere", "GET", "/v2/a/blobs/sha256:..%2f..%2fetc", "", 400},
		{"name that leads elsewhere", "GET", "/v2/../a/manifests/x", "", 404},
		{"name with capitals", "PUT", "/v2/A/manifests/x", "{}", 404},
		{"content of another digest", "POST", "/v2/a/blobs/uploads/?digest=" + some, "y", 400},
		{"manifest without its layers", "PUT", "/v2/a/manifests/x", `{"layers":[{"digest":"` + some + `"}]}`, 400},
		{"manifest that is not JSON", "PUT", "/v2/a/manifests/x", "hello", 400},
		{"manifest under another's digest", "PUT", "/v2/a/manifests/" + some, "{}", 400},
		{"upload that was not begun", "PATCH", "/v2/a/blobs/uploads/0123456789abcdef0123456789abcdef", "x", 404},
		{"upload that leads elsewhere", "PATCH", "/v2/a/blobs/uploads/..%2fx", "x", 404},
		{"unknown method", "POST", "/v2/a/manifests/x", "", 405},
		{"page of something else", "GET", "/metrics", "", 404},
	} {
		t.Run(tc.name, func(t *testing.T) {
			client{t, c.base}.do(tc.method, tc.path, []byte(tc.body), tc.status)
		})
	}
}
