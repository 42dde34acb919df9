// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func readAll(t *testing.T, r io.ReadCloser) string {
	t.Helper()
	defer func() { _ = r.Close() }()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestStreamLogGivesTheConsoleText(t *testing.T) {
	c, srv := replay(t, "06-classic-run-life.json")
	var got bytes.Buffer
	next, err := c.StreamLog(t.Context(), BuildRef{"rec-06b", "big", 1}, 0, &got)
	if err != nil || next != 35441 {
		t.Fatalf("next = %d, %v", next, err)
	}
	want := srv.Exchange("consoleText").Response.Body.Text
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
	if n := len(srv.Calls()); n != 13 {
		t.Errorf("%d calls, want the 13 recorded ones", n)
	}
}

func TestLog(t *testing.T) {
	c, _ := replay(t, "06-classic-run-life.json")
	ctx := t.Context()
	text, next, more, err := c.Log(ctx, "rec-06b", "big", 1, 0)
	if err != nil || next != 601 || !more {
		t.Fatalf("next = %d, more = %t, %v", next, more, err)
	}
	if got, want := readAll(t, text), "Started by user admin\n[Pipeline] Start of Pipeline\n"; got != want {
		t.Errorf("text = %q, want %q", got, want)
	}
	text, next, more, err = c.Log(ctx, "rec-06b", "big", 1, 9999999)
	if err != nil || next != 35441 || more || readAll(t, text) != "" {
		t.Errorf("beyond the end: next = %d, more = %t, %v", next, more, err)
	}
	text, next, more, err = c.Log(ctx, "rec-06b", "big", 1, 35441)
	if err != nil || next != 35441 || more || readAll(t, text) != "" {
		t.Errorf("at the end: next = %d, more = %t, %v", next, more, err)
	}
	if _, _, _, err = c.Log(ctx, "rec-06b", "big", 99, 0); !errors.Is(err, ErrNotFound) {
		t.Errorf("missing: %v", err)
	}
	if _, _, _, err = c.Log(ctx, "rec-06b", "big", 1, -5); !errors.Is(err, ErrInvalid) {
		t.Errorf("negative: %v", err)
	}
}

func TestStreamLogStops(t *testing.T) {
	endless := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-More-Data", "true")
		w.Header().Set("X-Text-Size", "5")
		if r.URL.Query().Get("start") == "0" {
			_, _ = io.WriteString(w, "line\n")
		}
	}
	t.Run("when the context ends", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		calls := 0
		c := handler(t, func(w http.ResponseWriter, r *http.Request) {
			if calls++; calls == 3 {
				cancel()
			}
			endless(w, r)
		})
		var b bytes.Buffer
		next, err := c.StreamLog(ctx, BuildRef{"f", "j", 1}, 0, &b)
		if !errors.Is(err, context.Canceled) || next != 5 || b.String() != "line\n" {
			t.Fatalf("next = %d, %q, %v", next, b.String(), err)
		}
	})
	t.Run("when the reader has gone", func(t *testing.T) {
		c := handler(t, endless)
		gone := errors.New("gone")
		r, w := io.Pipe()
		_ = r.CloseWithError(gone)
		next, err := c.StreamLog(t.Context(), BuildRef{"f", "j", 1}, 0, w)
		if !errors.Is(err, gone) || next != 0 {
			t.Fatalf("next = %d, %v", next, err)
		}
	})
	t.Run("when Jenkins breaks off, at the last whole part", func(t *testing.T) {
		c := handler(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("start") != "0" {
				panic(http.ErrAbortHandler)
			}
			endless(w, r)
		})
		next, err := c.StreamLog(t.Context(), BuildRef{"f", "j", 1}, 0, io.Discard)
		if !errors.Is(err, ErrUnavailable) || next != 5 {
			t.Fatalf("next = %d, %v", next, err)
		}
	})
}

func TestLogText(t *testing.T) {
	note := "\x1b[8mha:////AAAA+/==\x1b[0m"
	for reason, tc := range map[string]struct{ raw, want string }{
		"nothing":                     {"", ""},
		"plain":                       {"a\r\nb\r\n", "a\nb\n"},
		"notes":                       {note + "[Pipeline] " + note + "sh\r\n" + note + "x", "[Pipeline] sh\nx"},
		"colours of a build stay":     {"\x1b[31mred\x1b[0m\r\n", "\x1b[31mred\x1b[0m\n"},
		"hidden text that is no note": {"\x1b[8mpsst\x1b[0m\r\n", "\x1b[8mpsst\x1b[0m\n"},
		"CR of the build":             {"10%\r20%\r\r\n", "10%\r20%\r\n"},
		"CR at the end":               {"a\r", "a\r"},
		"escape at the end":           {"a\x1b", "a\x1b"},
		"cut note":                    {"a\x1b[8mha:zzz", "a\x1b[8mha:zzz"},
		"two escapes":                 {"\x1b\x1b[8mha:z\x1b[0mx", "\x1bx"},
		"unicode":                     {"größe €\r\n", "größe €\n"},
	} {
		t.Run(reason, func(t *testing.T) {
			for name, r := range map[string]io.Reader{
				"at once":      strings.NewReader(tc.raw),
				"byte by byte": iotest.OneByteReader(strings.NewReader(tc.raw)),
				"data and EOF": iotest.DataErrReader(strings.NewReader(tc.raw)),
			} {
				got, err := io.ReadAll(&logText{ReadCloser: io.NopCloser(r)})
				if err != nil || string(got) != tc.want {
					t.Errorf("%s: %q, %v, want %q", name, got, err, tc.want)
				}
			}
		})
	}
	t.Run("an endless note is not kept in memory", func(t *testing.T) {
		raw := "\x1b[8mha:" + strings.Repeat("A", 1<<20) + "\r\nend\r\n"
		l := &logText{ReadCloser: io.NopCloser(strings.NewReader(raw))}
		got, err := io.ReadAll(l)
		if err != nil || string(got) != strings.ReplaceAll(raw, "\r\n", "\n") {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	})
}

func FuzzLogText(f *testing.F) {
	f.Add("a\x1b[8mha:AA\x1b[0mb\r\n")
	f.Add("\x1b\x1b[8\r\r\n\x1b[0m")
	f.Fuzz(func(t *testing.T, raw string) {
		whole, err := io.ReadAll(&logText{ReadCloser: io.NopCloser(strings.NewReader(raw))})
		if err != nil {
			t.Fatal(err)
		}
		bytewise, err := io.ReadAll(&logText{ReadCloser: io.NopCloser(iotest.OneByteReader(strings.NewReader(raw)))})
		if err != nil || !bytes.Equal(whole, bytewise) {
			t.Fatalf("%q: at once %q, byte by byte %q, %v", raw, whole, bytewise, err)
		}
	})
}

func TestStepLog(t *testing.T) {
	var uri string
	c := handler(t, func(w http.ResponseWriter, r *http.Request) {
		uri = r.URL.RequestURI()
		w.Header().Set("X-Text-Size", "8")
		_, _ = io.WriteString(w, "hello\r\n")
	})
	text, next, more, err := c.StepLog(t.Context(), BuildRef{"f", "mb/main", 3}, "12", "15", 0)
	if err != nil || next != 8 || more || readAll(t, text) != "hello\n" {
		t.Fatalf("next = %d, more = %t, %v", next, more, err)
	}
	if want := "/blue/rest/organizations/jenkins/pipelines/f/pipelines/mb/branches/main/runs/3/nodes/12/steps/15/log/?start=0"; uri != want {
		t.Errorf("uri = %s, want %s", uri, want)
	}
}

func TestArtifacts(t *testing.T) {
	c, _ := replay(t, "06-classic-run-life.json")
	ctx := t.Context()
	list, err := c.ListArtifacts(ctx, "rec-06b", "big", 1)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Artifact{{"out/a dir/ünï çode.txt", 2}, {"out/plain.txt", 2}}, list); diff != "" {
		t.Fatal(diff)
	}
	for _, a := range list {
		f, err := c.OpenArtifact(ctx, "rec-06b", "big", 1, a.Path)
		if err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, f.ReadCloser); int64(len(got)) != a.Size {
			t.Errorf("%s = %q", a.Path, got)
		}
	}
	if _, err := c.OpenArtifact(ctx, "rec-06b", "big", 1, "out/nosuch.txt"); !errors.Is(err, ErrNotFound) {
		t.Errorf("missing: %v", err)
	}
	if _, err := c.OpenArtifact(ctx, "rec-06b", "big", 1, "out"); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "directory") {
		t.Errorf("directory: %v", err)
	}
	for _, path := range []string{"", "/etc/passwd", "../../config.xml", "out/../../../config.xml", "out//x", "out/", "out/*zip*/out.zip", "a\x00b"} {
		if _, err := c.OpenArtifact(ctx, "rec-06b", "big", 1, path); !errors.Is(err, ErrInvalid) {
			t.Errorf("path %q: %v", path, err)
		}
	}
}

func TestArtifactIsStreamed(t *testing.T) {
	const size = 200 << 20
	c := handler(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(size))
		chunk := make([]byte, 1<<20)
		for range size >> 20 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	f, err := c.OpenArtifact(t.Context(), "f", "j", 1, "big.bin")
	if err != nil || f.Size != size {
		t.Fatalf("%+v, %v", f, err)
	}
	defer func() { _ = f.Close() }()
	if n, err := io.Copy(io.Discard, f); err != nil || n != size {
		t.Fatalf("%d bytes, %v", n, err)
	}
}
