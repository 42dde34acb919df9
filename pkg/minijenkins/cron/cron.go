// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cron reads Jenkins' schedules: five fields as in cron, H for a value that a hash of the
// job's name chooses, and names such as @daily. All fields must match; days are not alternatives.
package cron

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Tab is one line of a schedule.
type Tab struct {
	spec string
	// bits are the values of minute, hour, day of month, month and day of week.
	bits [5]uint64
}

// Schedule is a list of lines, in a time zone.
type Schedule struct {
	Tabs []Tab
	loc  *time.Location
}

// SyntaxError is a schedule that cannot be read, in the words of Jenkins.
type SyntaxError struct {
	// Spec is the line and Line its number, from 1; both are empty if the line is not at fault.
	Spec string
	Line int
	// Column counts from 0.
	Column  int
	Message string
}

func (e *SyntaxError) Error() string {
	if e.Line == 0 {
		return e.Message
	}
	return fmt.Sprintf("Invalid input: %q: line %d:%d: %s", e.Spec, e.Line, e.Column, e.Message)
}

// maxSize bounds a schedule in bytes, far beyond what anybody writes.
const maxSize = 16 << 10

var lineEnd = regexp.MustCompile("\r\n|\r|\n")

// Parse reads a schedule: lines, comments that begin with # and, in the first line, TZ=zone. seed is
// the full name of the job that H depends on; with an empty one H is the least value. The error is a
// *SyntaxError.
func Parse(text, seed string) (*Schedule, error) {
	if len(text) > maxSize {
		return nil, &SyntaxError{Message: fmt.Sprintf("A schedule must not have more than %d bytes", maxSize)}
	}
	s := &Schedule{loc: time.UTC}
	h := newHash(seed)
	for i, line := range lineEnd.Split(text, -1) {
		line = strings.TrimSpace(line)
		if zone, ok := strings.CutPrefix(line, "TZ="); ok && i == 0 {
			loc, ok := location(zone)
			if !ok {
				return nil, &SyntaxError{Message: "Invalid or unsupported timezone '" + zone + "'"}
			}
			s.loc = loc
			continue
		}
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		t, err := parseLine(line, i+1, h)
		if err != nil {
			return nil, err
		}
		s.Tabs = append(s.Tabs, t)
	}
	return s, nil
}

// shortZones are the names of three letters that Java has besides those of the time zone database
// (java.time.ZoneId.SHORT_IDS).
var shortZones = map[string]string{
	"ACT": "Australia/Darwin", "AET": "Australia/Sydney", "AGT": "America/Argentina/Buenos_Aires", "ART": "Africa/Cairo",
	"AST": "America/Anchorage", "BET": "America/Sao_Paulo", "BST": "Asia/Dhaka", "CAT": "Africa/Harare", "CNT": "America/St_Johns",
	"CST": "America/Chicago", "CTT": "Asia/Shanghai", "EAT": "Africa/Addis_Ababa", "ECT": "Europe/Paris", //nolint:misspell // so it is called
	"IET": "America/Indiana/Indianapolis", "IST": "Asia/Kolkata", "JST": "Asia/Tokyo", "MIT": "Pacific/Apia", "NET": "Asia/Yerevan",
	"NST": "Pacific/Auckland", "PLT": "Asia/Karachi", "PNT": "America/Phoenix", "PRT": "America/Puerto_Rico", "PST": "America/Los_Angeles",
	"SST": "Pacific/Guadalcanal", "VST": "Asia/Ho_Chi_Minh",
}

// location finds a time zone that Java knows.
func location(zone string) (*time.Location, bool) {
	if long, ok := shortZones[zone]; ok {
		zone = long
	}
	if zone == "" || zone == "Local" || strings.HasPrefix(zone, "posix") || strings.HasPrefix(zone, "right/") {
		return nil, false
	}
	loc, err := time.LoadLocation(zone)
	return loc, err == nil
}

// Next is the first minute that is not before t at which a job with the schedule is started; false if
// there is none within two years. Where the clock is put forward a time in the gap does not come, where
// it is put back the hour comes twice: as in Jenkins, which looks at the clock each minute.
func (s *Schedule) Next(t time.Time) (time.Time, bool) { return s.search(t, 1) }

// Previous is the last such minute that is not behind t; false if there is none within two years.
func (s *Schedule) Previous(t time.Time) (time.Time, bool) { return s.search(t, -1) }

func (s *Schedule) search(t time.Time, dir int) (best time.Time, found bool) {
	for _, tab := range s.Tabs {
		at, ok := tab.search(t.In(s.loc), dir)
		if ok && (!found || dir > 0 && at.Before(best) || dir < 0 && at.After(best)) {
			best, found = at, true
		}
	}
	return best, found
}

// Rare tells if a line of the schedule has no time within two years from t, or none in the two years
// before it.
func (s *Schedule) Rare(t time.Time) bool {
	return slices.ContainsFunc(s.Tabs, func(tab Tab) bool {
		_, runs := tab.search(t.In(s.loc), 1)
		_, ran := tab.search(t.In(s.loc), -1)
		return !runs || !ran
	})
}

func (tab Tab) has(field, v int) bool { return tab.bits[field]&(1<<v) != 0 }

func (tab Tab) onDay(t time.Time) bool {
	return tab.has(2, t.Day()) && tab.has(3, int(t.Month())) && tab.has(4, int(t.Weekday()))
}

// search walks over real minutes and reads the clock of the zone, but leaps over days and hours that
// do not match. As in Jenkins what is rarer than once in two years counts as never.
func (tab Tab) search(t time.Time, dir int) (time.Time, bool) {
	limit := t.AddDate(2*dir, 0, 0)
	// The clock of the zone counts, which once was off by seconds.
	begin := t.Add(-time.Duration(t.Second())*time.Second - time.Duration(t.Nanosecond()))
	if dir > 0 && begin.Before(t) {
		begin = begin.Add(time.Minute)
	}
	for at := begin; dir > 0 && !at.After(limit) || dir < 0 && !at.Before(limit); {
		switch {
		case !tab.onDay(at):
			at = otherDay(at, dir)
		case !tab.has(1, at.Hour()):
			at = otherHour(at, dir)
		case !tab.has(0, at.Minute()):
			at = at.Add(time.Duration(dir) * time.Minute)
		default:
			return at, true
		}
	}
	return time.Time{}, false
}

// otherHour is the first minute of the next hour, or the last of the one before.
func otherHour(t time.Time, dir int) time.Time {
	if dir > 0 {
		return t.Add(time.Duration(60-t.Minute()) * time.Minute)
	}
	return t.Add(-time.Duration(t.Minute()+1) * time.Minute)
}

// otherDay is the first minute of the next day, or the last of the one before.
func otherDay(t time.Time, dir int) time.Time {
	y, m, d := t.Date()
	if dir > 0 {
		d++
	}
	midnight := time.Date(y, m, d, 0, 0, 0, 0, t.Location())
	before := midnight.Add(-time.Minute)
	if midnight.Day() == before.Day() || (dir > 0) != (before.Day() == t.Day()) || (dir < 0) != (midnight.Day() == t.Day()) {
		return overMidnight(t, dir)
	}
	if dir > 0 {
		return midnight
	}
	return before
}

// overMidnight does the same where the clock is changed at midnight, which is missing or comes twice then:
// it goes near by hours, then by minutes.
func overMidnight(t time.Time, dir int) time.Time {
	day := t.Day()
	for _, step := range []time.Duration{6 * time.Hour, time.Hour, time.Minute} {
		for next := t.Add(time.Duration(dir) * step); next.Day() == day; next = t.Add(time.Duration(dir) * step) {
			t = next
		}
	}
	return t.Add(time.Duration(dir) * time.Minute)
}

// Warning is what Jenkins says about a schedule that is allowed but not wise; empty for nothing.
func (s *Schedule) Warning() string {
	for _, t := range s.Tabs {
		if w := t.warning(); w != "" {
			return w
		}
	}
	return ""
}

var (
	fixedMinute = regexp.MustCompile(`^\d+ .+$`)
	everyMinute = regexp.MustCompile(`^0(,(\d+)(?:,\d+)*)( .+)$`)
)

func (tab Tab) warning() string {
	const everyBit = 1<<60 - 1
	if tab.bits[0] == everyBit {
		_, rest, _ := strings.Cut(tab.spec, " ")
		return `Do you really mean "every minute" when you say "` + tab.spec + `"? Perhaps you meant "H ` + rest + `" to poll once per hour`
	}
	if h := hashify(tab.spec); h != "" {
		return "Spread load evenly by using ‘" + h + "’ rather than ‘" + tab.spec + "’"
	}
	return ""
}

// hashify puts an H into a schedule that should have one; it is empty if there is nothing to improve.
func hashify(spec string) string {
	switch {
	case strings.Contains(spec, "H"):
		return ""
	case strings.HasPrefix(spec, "*/"):
		return "H" + spec[1:]
	case fixedMinute.MatchString(spec):
		_, rest, _ := strings.Cut(spec, " ")
		return "H " + rest
	}
	m := everyMinute.FindStringSubmatch(spec)
	if m == nil {
		return ""
	}
	period, err := strconv.Atoi(m[2])
	if err != nil || period <= 0 {
		return ""
	}
	var all strings.Builder
	for i := period; i < 60; i += period {
		all.WriteString("," + strconv.Itoa(i))
	}
	if all.String() != m[1] {
		return ""
	}
	return "H/" + strconv.Itoa(period) + m[3]
}
