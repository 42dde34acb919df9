// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package sealing

import (
	"errors"
	"strings"
	"testing"
)

func newSealer(t *testing.T, key string) *Sealer {
	t.Helper()
	s, err := New([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealAndOpen(t *testing.T) {
	s := newSealer(t, "0123456789abcdef")
	place := Place{Namespace: "ns", Pipeline: "p", Parameter: "PW"}
	for reason, value := range map[string]string{"empty": "", "plain": "hunter2", "unicode": "ü\n€\x00", "longest": strings.Repeat("x", MaxValue), "sealed": prefix + "x"} {
		sealed, err := s.Seal(place, value)
		if err != nil {
			t.Fatalf("%s: %v", reason, err)
		}
		if !Sealed(sealed) || value != "" && strings.Contains(sealed, value) || len(sealed) > 65536 {
			t.Errorf("%s: sealed as %d bytes, or readable", reason, len(sealed))
		}
		if again, _ := s.Seal(place, value); again == sealed {
			t.Errorf("%s: equal values are sealed alike, so that one can be guessed", reason)
		}
		if got, err := s.Open(place, sealed); err != nil || got != value {
			t.Errorf("%s: opened %q, %v", reason, got, err)
		}
	}
	if _, err := s.Seal(place, strings.Repeat("x", MaxValue+1)); !errors.Is(err, ErrTooLong) {
		t.Errorf("too long a value: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	s := newSealer(t, "0123456789abcdef")
	place := Place{Namespace: "ns", Pipeline: "p", Parameter: "PW"}
	sealed, err := s.Seal(place, "hunter2")
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		sealer *Sealer
		place  Place
		text   string
	}{
		"another parameter": {s, Place{"ns", "p", "TEXT"}, sealed},
		"another pipeline":  {s, Place{"ns", "q", "PW"}, sealed},
		"another project":   {s, Place{"other", "p", "PW"}, sealed},
		"shifted names":     {s, Place{"ns", "p\x00PW", ""}, sealed},
		"another key":       {newSealer(t, "fedcba9876543210"), place, sealed},
		"changed":           {s, place, sealed[:len(sealed)-4] + "AAAA"},
		"cut":               {s, place, sealed[:len(prefix)+5]},
		"no base64":         {s, place, prefix + "*"},
		"plain":             {s, place, "hunter2"},
		"the mask":          {s, place, Mask},
	}
	for name, tt := range cases {
		if got, err := tt.sealer.Open(tt.place, tt.text); !errors.Is(err, ErrUnreadable) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := New([]byte("short")); err == nil {
		t.Error("a short key is taken")
	}
}
