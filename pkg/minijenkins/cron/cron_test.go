// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package cron

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func at(s string) time.Time {
	t, err := time.Parse("2006-01-02 15:04:05", s)
	if err != nil {
		panic(err)
	}
	return t
}

// now is when the recorded Jenkins was asked.
var now = at("2026-11-21 01:00:20")

// TestTimes has the answers of Jenkins 2.541.2 (recording 11) for the job rec-11/p, and others that
// follow from the calendar.
func TestTimes(t *testing.T) {
	for reason, c := range map[string]struct{ spec, seed, last, next string }{
		"every 5 minutes":        {"*/5 * * * *", "rec-11/p", "2026-11-21 01:00:00", "2026-11-21 01:05:00"},
		"hashed with a step":     {"H/15 * * * *", "rec-11/p", "2026-11-21 00:48:00", "2026-11-21 01:03:00"},
		"hashed twice":           {"H H * * *", "rec-11/p", "2026-11-20 02:03:00", "2026-11-21 02:03:00"},
		"hashed in a range":      {"H(0-29)/10 * * * *", "rec-11/p", "2026-11-21 00:23:00", "2026-11-21 01:03:00"},
		"alias":                  {"@daily", "rec-11/p", "2026-11-20 02:03:00", "2026-11-21 02:03:00"},
		"alias with a range":     {"@midnight", "rec-11/p", "2026-11-20 02:03:00", "2026-11-21 02:03:00"},
		"hash of another name":   {"H H * * *", "rec-11", "2026-11-20 05:15:00", "2026-11-21 05:15:00"},
		"no name":                {"H H * * *", "", "2026-11-21 00:00:00", "2026-11-22 00:00:00"},
		"two lines":              {"0 1 * * *\n0 2 * * *", "rec-11/p", "2026-11-21 01:00:00", "2026-11-21 02:00:00"},
		"a comment":              {"# comment\n0 1 * * *", "rec-11/p", "2026-11-21 01:00:00", "2026-11-22 01:00:00"},
		"a zone":                 {"TZ=Asia/Shanghai\n0 1 * * *", "rec-11/p", "2026-11-20 17:00:00", "2026-11-21 17:00:00"},
		"sunday as 7":            {"0 0 * * 7", "", "2026-11-15 00:00:00", "2026-11-22 00:00:00"},
		"both days must match":   {"0 0 13 * 5", "", "2026-11-13 00:00:00", "2027-08-13 00:00:00"},
		"a list and a range":     {"0,30 8-9 * * 1-5", "", "2026-11-20 09:30:00", "2026-11-23 08:00:00"},
		"the last day of a year": {"59 23 31 12 *", "", "2025-12-31 23:59:00", "2026-12-31 23:59:00"},
	} {
		s, err := Parse(c.spec, c.seed)
		if err != nil {
			t.Errorf("%s: %v", reason, err)
			continue
		}
		last, ok1 := s.Previous(now)
		next, ok2 := s.Next(now)
		if !ok1 || !ok2 || !last.Equal(at(c.last)) || !next.Equal(at(c.next)) {
			t.Errorf("%s: %v %v, want %s %s", reason, last.UTC(), next.UTC(), c.last, c.next)
		}
	}
}

func TestNever(t *testing.T) {
	for _, spec := range []string{"", "  ", "# only a comment", "0 0 31 2 *", "0 0 31 6 *"} {
		s, err := Parse(spec, "x")
		if err != nil {
			t.Fatal(err)
		}
		if at, ok := s.Next(now); ok {
			t.Errorf("%q runs at %v", spec, at)
		}
	}
}

func TestWarnings(t *testing.T) {
	for spec, want := range map[string]string{
		"*/5 * * * *":             "Spread load evenly by using ‘H/5 * * * *’ rather than ‘*/5 * * * *’",
		"0 1 * * *":               "Spread load evenly by using ‘H 1 * * *’ rather than ‘0 1 * * *’",
		"0,20,40 * * * *":         "Spread load evenly by using ‘H/20 * * * *’ rather than ‘0,20,40 * * * *’",
		"0,25 * * * *":            "",
		"H * * * *":               "",
		"@daily":                  "",
		"* * * * *":               `Do you really mean "every minute" when you say "* * * * *"? Perhaps you meant "H * * * *" to poll once per hour`,
		"H * * * *\n15 3 * * 1-5": "Spread load evenly by using ‘H 3 * * 1-5’ rather than ‘15 3 * * 1-5’",
	} {
		s, err := Parse(spec, "x")
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Warning(); got != want {
			t.Errorf("%q: %q, want %q", spec, got, want)
		}
	}
}

// TestErrors has the messages of Jenkins (recording 11) and inputs of which only the refusal counts.
func TestErrors(t *testing.T) {
	for spec, want := range map[string]string{
		"* * *":                    `Invalid input: "* * *": line 1:5: mismatched input '<EOF>' expecting {WS, '/', ','}`,
		"* * * * * *":              `Invalid input: "* * * * * *": line 1:9: mismatched input ' ' expecting {<EOF>, '/', ','}`,
		"99 * * * *":               `Invalid input: "99 * * * *": line 1:2: 99 is an invalid value. Must be within 0 and 59`,
		"abc":                      `Invalid input: "abc": line 1:0: token recognition error at: 'ab'`,
		"0 0 * JAN MON":            `Invalid input: "0 0 * JAN MON": line 1:6: token recognition error at: 'J'`,
		"0 0 * * 8":                `Invalid input: "0 0 * * 8": line 1:9: 8 is an invalid value. Must be within 0 and 7`,
		"0 1 * * *\nx":             `Invalid input: "x": line 2:0: token recognition error at: 'x'`,
		"0 0 0 ? * *":              `Invalid input: "0 0 0 ? * *": line 1:5: 0 is an invalid value. Must be within 1 and 31`,
		"TZ=No/Where\n0 1 * * *":   "Invalid or unsupported timezone 'No/Where'",
		"TZ=../../etc/passwd":      "",
		"TZ=":                      "",
		"@never":                   "",
		"H/0 * * * *":              "",
		"H/61 * * * *":             "",
		"*/0 * * * *":              "",
		"5-3 * * * *":              "",
		"H(5-3) * * * *":           "",
		"1- * * * *":               "",
		"*/x * * * *":              "",
		"H(1 * * * *":              "",
		",":                        "",
		"99999999999999999999 * *": "",
		"größe * * * *":            "",
		strings.Repeat("9", 5000):  "",
	} {
		_, err := Parse(spec, "x")
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || want != "" && err.Error() != want {
			t.Errorf("%.60q: %v, want %s", spec, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"H/5 * * * *", "@midnight", "TZ=UTC\n0 0 1-5/2 * 7", "H(0-29)/10 H * * 1,2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		s, err := Parse(spec, "job")
		if err != nil {
			return
		}
		_ = s.Warning()
		if next, ok := s.Next(now); ok && next.Before(now) {
			t.Errorf("%q: next is %v", spec, next)
		}
		if last, ok := s.Previous(now); ok && last.After(now) {
			t.Errorf("%q: last is %v", spec, last)
		}
	})
}
