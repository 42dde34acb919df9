// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package cron

import (
	"errors"
	"os"
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

// TestErrors has the messages of Jenkins: those of recording 11, and others that follow from its
// grammar and how its parser generator reports errors. An empty one stands for any.
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
		"1 2":                      `Invalid input: "1 2": line 1:3: mismatched input '<EOF>' expecting {WS, ','}`,
		"5/10 * * * *":             `Invalid input: "5/10 * * * *": line 1:1: mismatched input '/' expecting {WS, ','}`,
		"*/5/5 * * * *":            `Invalid input: "*/5/5 * * * *": line 1:3: mismatched input '/' expecting {WS, ','}`,
		"H/0 * * * *":              `Invalid input: "H/0 * * * *": line 1:3: step must be positive, but found 0`,
		"H/61 * * * *":             `Invalid input: "H/61 * * * *": line 1:4: 61 is an invalid value. Must be within 1 and 60`,
		"H H H/29 * *":             `Invalid input: "H H H/29 * *": line 1:8: 29 is an invalid value. Must be within 1 and 28`,
		"*/0 * * * *":              `Invalid input: "*/0 * * * *": line 1:3: step must be positive, but found 0`,
		"5-3 * * * *":              `Invalid input: "5-3 * * * *": line 1:3: You mean 3-5?`,
		"70-80 * * * *":            `Invalid input: "70-80 * * * *": line 1:5: 70 is an invalid value. Must be within 0 and 59`,
		"H(5-3) * * * *":           `Invalid input: "H(5-3) * * * *": line 1:6: 1 is an invalid value. Must be within 1 and -1`,
		"1- * * * *":               `Invalid input: "1- * * * *": line 1:2: missing TOKEN at ' '`,
		"*/x * * * *":              `Invalid input: "*/x * * * *": line 1:2: token recognition error at: 'x'`,
		"H(1 * * * *":              `Invalid input: "H(1 * * * *": line 1:3: mismatched input ' ' expecting '-'`,
		",":                        `Invalid input: ",": line 1:0: mismatched input ',' expecting {TOKEN, '*', '@', 'H'}`,
		",5 * * * *":               `Invalid input: ",5 * * * *": line 1:0: extraneous input ',' expecting {TOKEN, '*', '@', 'H'}`,
		"1,,2 * * * *":             `Invalid input: "1,,2 * * * *": line 1:2: extraneous input ',' expecting {TOKEN, '*', 'H'}`,
		"@":                        `Invalid input: "@": line 1:1: mismatched input '<EOF>' expecting {'yearly', 'annually', 'monthly', 'weekly', 'daily', 'midnight', 'hourly'}`,
		"@never":                   `Invalid input: "@never": line 1:1: token recognition error at: 'n'`,
		"@dailyx":                  `Invalid input: "@dailyx": line 1:6: token recognition error at: 'x'`,
		"größe * * * *":            `Invalid input: "größe * * * *": line 1:0: token recognition error at: 'g'`,
		"0 ö * * *":                `Invalid input: "0 ö * * *": line 1:2: token recognition error at: 'ö'`,
		"99999999999 * * * *":      `Invalid input: "99999999999 * * * *": For input string: "99999999999"`,
		"TZ=../../etc/passwd":      "Invalid or unsupported timezone '../../etc/passwd'",
		"TZ=posix/Europe/Berlin":   "Invalid or unsupported timezone 'posix/Europe/Berlin'",
		"TZ= Europe/Berlin":        "Invalid or unsupported timezone ' Europe/Berlin'",
		"TZ=":                      "Invalid or unsupported timezone ''",
		"TZ=Local":                 "Invalid or unsupported timezone 'Local'",
		strings.Repeat("9", 5000):  "",
		strings.Repeat("1,", 5000): "",
		strings.Repeat("# comment\n", maxSize/10) + "\n* * * * *": "A schedule must not have more than 16384 bytes",
	} {
		_, err := Parse(spec, "x")
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || want != "" && err.Error() != want {
			t.Errorf("%.60q:\n got %v\nwant %s", spec, err, want)
		}
	}
}

// TestNext has the next three times of schedules, see testdata/next.txt.
func TestNext(t *testing.T) {
	data, err := os.ReadFile("testdata/next.txt")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n")[1:] {
		f := strings.Split(line, "\t")
		spec, seed := strings.ReplaceAll(f[0], "|", "\n"), strings.TrimSuffix(f[1], "-")
		rows++
		s, err := Parse(spec, seed)
		if err != nil {
			t.Errorf("%q: %v", spec, err)
			continue
		}
		from := instant(t, f[2])
		for i, want := range f[3:] {
			next, ok := s.Next(from)
			if want == "-" {
				if ok {
					t.Errorf("%q of %q: %v, want none", spec, seed, next.UTC())
				}
				break
			}
			if !ok || !next.Equal(instant(t, want)) {
				t.Errorf("%q of %q, time %d: %v %v, want %s", spec, seed, i+1, next.UTC(), ok, want)
				break
			}
			if back, ok := s.Previous(next.Add(30 * time.Second)); !ok || !back.Equal(next) {
				t.Errorf("%q of %q: before %v it is %v", spec, seed, next.UTC(), back.UTC())
			}
			from = next.Add(time.Second)
		}
	}
	if rows < 60 {
		t.Errorf("%d rows only", rows)
	}
}

func instant(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestShortZones(t *testing.T) {
	for name, long := range shortZones {
		a, err := Parse("TZ="+name+"\n30 12 * * *", "x")
		if err != nil {
			t.Error(err)
			continue
		}
		b, err := Parse("TZ="+long+"\n30 12 * * *", "x")
		if err != nil {
			t.Fatal(err)
		}
		x, _ := a.Next(now)
		if y, ok := b.Next(now); !ok || !x.Equal(y) {
			t.Errorf("%s: %v, %s: %v", name, x, long, y)
		}
	}
}

func TestRare(t *testing.T) {
	for spec, want := range map[string]bool{
		"0 0 29 2 *": true, "0 0 31 2 *": true, "0 0 1 1 *": false, "H H * * *": false, "": false,
		"H * * * *\n0 0 30 2 *": true, // one line is enough
	} {
		s, err := Parse(spec, "x")
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Rare(now); got != want {
			t.Errorf("%q: %v", spec, got)
		}
	}
}

// TestOtherDay walks over the days of zones that change the clock at midnight, both ways.
func TestOtherDay(t *testing.T) {
	for _, zone := range []string{"UTC", "Africa/Cairo", "America/Havana", "America/Santiago", "America/Sao_Paulo", "Asia/Beirut", "Australia/Lord_Howe", "Pacific/Apia", "Europe/Berlin", "Atlantic/Azores"} {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Date(2009, 6, 1, 12, 30, 0, 0, loc)
		for at.Year() < 2027 {
			first := otherDay(at, 1)
			last := first.Add(-time.Minute)
			if first.Day() == at.Day() || last.Day() != at.Day() || !first.After(at) {
				t.Fatalf("%s: the day after %v begins at %v", zone, at, first)
			}
			if back := otherDay(first, -1); !back.Equal(last) {
				t.Fatalf("%s: the day before %v ends at %v", zone, first, back)
			}
			at = first.Add(11*time.Hour + 17*time.Minute)
		}
	}
}

func TestBounds(t *testing.T) {
	s, err := Parse("TZ=Europe/Berlin\n"+strings.Repeat("0 0 31 2 *\n", 1450), "x")
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if _, ok := s.Next(now); ok {
		t.Error("February has 31 days")
	}
	if d := time.Since(begin); d > 20*time.Second {
		t.Errorf("took %v", d)
	} else {
		t.Logf("%d lines that never match: %v", len(s.Tabs), d)
	}
}

// FuzzCron: the next time matches, and none of the minutes before it does.
func FuzzCron(f *testing.F) {
	for _, s := range []string{"H/5 * * * *", "@midnight", "TZ=UTC\n0 0 1-5/2 * 7", "H(0-29)/10 H * * 1,2", "TZ=Europe/Berlin\n30 2 * 3,10 *", "@daily x", "1- * * * *", "H(5-3) * * * *"} {
		for _, unix := range []int64{now.Unix(), 1774659600, 1792886400, -3e9, 4e9} {
			f.Add(s, unix)
		}
	}
	f.Fuzz(func(t *testing.T, spec string, unix int64) {
		s, err := Parse(spec, "job")
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || err.Error() == "" {
				t.Fatalf("%T", err)
			}
			return
		}
		_ = s.Warning()
		from := time.Unix(unix%1e10, 0)
		if len(s.Tabs) > 100 {
			return // that takes long, but no longer than it has lines
		}
		matches := func(at time.Time) bool {
			at = at.In(s.loc)
			for _, tab := range s.Tabs {
				if tab.onDay(at) && tab.has(1, at.Hour()) && tab.has(0, at.Minute()) {
					return true
				}
			}
			return false
		}
		next, ok := s.Next(from)
		if ok && (next.Before(from) || !matches(next)) {
			t.Errorf("%q: next after %v is %v", spec, from, next)
		}
		if last, ok := s.Previous(from); ok && (last.After(from) || !matches(last)) {
			t.Errorf("%q: last before %v is %v", spec, from, last)
		}
		// In zones of old the minutes of the clock do not begin with those of the world.
		begin := from.In(s.loc)
		begin = begin.Add(time.Duration((60-begin.Second())%60) * time.Second)
		for at, i := begin, 0; i < 3000 && ok && at.Before(next); at, i = at.Add(time.Minute), i+1 {
			if matches(at) && at.In(s.loc).Second() == 0 {
				t.Fatalf("%q: next after %v is %v, but %v matches", spec, from, next, at)
			}
		}
	})
}
