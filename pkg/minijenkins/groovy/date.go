// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"
)

// Date is java.util.Date: milliseconds since 1970.
type Date struct{ ms int64 }

// maxYears bounds dates, so that adding days can not overflow.
const maxYears = 100_000

func (d *Date) at() time.Time { return time.UnixMilli(d.ms).UTC() }

// String implements Object.
func (d *Date) String() string { return d.at().Format("Mon Jan 02 15:04:05 UTC 2006") }

// ClassName implements Object.
func (d *Date) ClassName() string { return "java.util.Date" }

// Property implements Object.
func (d *Date) Property(_ context.Context, name string) (any, bool, error) {
	t := d.at()
	switch name {
	case "time":
		return Long(d.ms), true, nil
	case "year":
		return int64(t.Year() - 1900), true, nil
	case "month":
		return int64(t.Month() - 1), true, nil
	case "date":
		return int64(t.Day()), true, nil
	case "day":
		return int64(t.Weekday()), true, nil
	case "hours":
		return int64(t.Hour()), true, nil
	case "minutes":
		return int64(t.Minute()), true, nil
	case "seconds":
		return int64(t.Second()), true, nil
	}
	return nil, false, nil
}

// SetProperty implements Object.
func (d *Date) SetProperty(_ context.Context, name string, v any) (bool, error) {
	if n, ok := whole(v); ok && name == "time" {
		d.ms = n
		return true, nil
	}
	return false, nil
}

// Call implements Object.
func (d *Date) Call(ctx context.Context, name string, args []any) (any, bool, error) {
	switch name {
	case "getTime", "getYear", "getMonth", "getDate", "getDay", "getHours", "getMinutes", "getSeconds":
		return d.Property(ctx, strings.ToLower(name[3:4])+name[4:])
	case "format":
		if len(args) == 0 || len(args) > 2 {
			return nil, false, nil
		}
		at := d.at()
		if len(args) == 2 {
			z, ok := args[1].(*zone)
			if !ok {
				return nil, false, nil
			}
			at = at.In(z.Location)
		}
		text, err := formatDate(at, ToString(args[0]))
		return text, true, err
	case "plus", "minus":
		if len(args) != 1 {
			return nil, false, nil
		}
		if other, ok := args[0].(*Date); ok && name == "minus" {
			return (d.ms - other.ms) / (24 * time.Hour).Milliseconds(), true, nil
		}
		days, ok := whole(args[0])
		if !ok || days > 365*maxYears || days < -365*maxYears {
			return nil, false, nil
		}
		if name == "minus" {
			days = -days
		}
		return &Date{d.ms + days*(24*time.Hour).Milliseconds()}, true, nil
	case "before", "after":
		other, ok := first(args).(*Date)
		if !ok {
			return nil, false, nil
		}
		return d.ms != other.ms && (d.ms < other.ms) == (name == "before"), true, nil
	}
	return nil, false, nil
}

// zone is a java.util.TimeZone.
type zone struct{ *time.Location }

// location finds a time zone; one that is not known is UTC, as in Java.
func location(name string) *time.Location {
	if loc, err := time.LoadLocation(name); err == nil && name != "" && !strings.EqualFold(name, "local") {
		return loc
	}
	return time.UTC
}

// Property implements Object.
func (z *zone) Property(_ context.Context, name string) (any, bool, error) {
	return z.String(), name == "ID", nil
}

// SetProperty implements Object.
func (z *zone) SetProperty(context.Context, string, any) (bool, error) { return false, nil }

// Call implements Object.
func (z *zone) Call(_ context.Context, name string, _ []any) (any, bool, error) {
	return z.String(), name == "getID", nil
}

// ClassName implements Object.
func (z *zone) ClassName() string { return "sun.util.calendar.ZoneInfo" }

// dateFormat is a java.text.SimpleDateFormat.
type dateFormat struct {
	pattern string
	zone    *time.Location
}

// Property implements Object.
func (f *dateFormat) Property(context.Context, string) (any, bool, error) { return nil, false, nil }

// SetProperty implements Object.
func (f *dateFormat) SetProperty(_ context.Context, name string, v any) (bool, error) {
	z, ok := v.(*zone)
	if !ok || name != "timeZone" {
		return false, nil
	}
	f.zone = z.Location
	return true, nil
}

// Call implements Object.
func (f *dateFormat) Call(ctx context.Context, name string, args []any) (any, bool, error) {
	switch name {
	case "format":
		switch d := first(args).(type) {
		case *Date:
			text, err := formatDate(d.at().In(f.zone), f.pattern)
			return text, true, err
		case int64:
			text, err := formatDate(time.UnixMilli(d).In(f.zone), f.pattern)
			return text, true, err
		}
	case "parse":
		at, err := parseDate(ToString(first(args)), f.pattern, f.zone)
		return &Date{at.UnixMilli()}, len(args) == 1, err
	case "setTimeZone":
		ok, err := f.SetProperty(ctx, "timeZone", first(args))
		return nil, ok, err
	}
	return nil, false, nil
}

// String implements Object.
func (f *dateFormat) String() string { return f.ClassName() + "@1" }

// ClassName implements Object.
func (f *dateFormat) ClassName() string { return "java.text.SimpleDateFormat" }

// formatDate writes a time in the pattern of a SimpleDateFormat.
func formatDate(t time.Time, pattern string) (string, error) {
	if len(pattern) > maxPattern {
		return "", &Exception{Class: "java.lang.IllegalArgumentException", Message: "the pattern is too long"}
	}
	var b strings.Builder
	for i := 0; i < len(pattern); {
		c := pattern[i]
		if c == '\'' {
			end := strings.IndexByte(pattern[i+1:], '\'')
			if end < 0 {
				return "", &Exception{Class: "java.lang.IllegalArgumentException", Message: "Unterminated quote"}
			}
			if end == 0 {
				b.WriteByte('\'')
			}
			b.WriteString(pattern[i+1 : i+1+end])
			i += end + 2
			continue
		}
		n := 1
		for i+n < len(pattern) && pattern[i+n] == c {
			n++
		}
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			b.WriteString(pattern[i : i+n])
		} else if !dateField(&b, t, c, min(n, 32)) {
			return "", &Exception{Class: "java.lang.IllegalArgumentException", Message: "Illegal pattern character '" + string(c) + "'"}
		}
		i += n
	}
	return b.String(), nil
}

// dateField writes one field of n letters.
func dateField(b *strings.Builder, t time.Time, c byte, n int) bool {
	number := func(v int) { fmt.Fprintf(b, "%0*d", n, v) }
	switch c {
	case 'y', 'Y':
		if n == 2 {
			number(t.Year() % 100)
		} else {
			number(t.Year())
		}
	case 'M', 'L':
		switch {
		case n >= 4:
			b.WriteString(t.Month().String())
		case n == 3:
			b.WriteString(t.Month().String()[:3])
		default:
			number(int(t.Month()))
		}
	case 'E':
		if n >= 4 {
			b.WriteString(t.Weekday().String())
		} else {
			b.WriteString(t.Weekday().String()[:3])
		}
	case 'a':
		b.WriteString(t.Format("PM"))
	case 'z':
		b.WriteString(t.Format("MST"))
	case 'Z':
		b.WriteString(t.Format("-0700"))
	case 'X':
		b.WriteString(t.Format(map[int]string{1: "Z07", 2: "Z0700"}[n] + map[bool]string{true: "Z07:00"}[n > 2]))
	default:
		return dateNumber(t, c, number)
	}
	return true
}

func dateNumber(t time.Time, c byte, number func(int)) bool {
	switch c {
	case 'd':
		number(t.Day())
	case 'D':
		number(t.YearDay())
	case 'H':
		number(t.Hour())
	case 'k':
		number((t.Hour()+23)%24 + 1)
	case 'K':
		number(t.Hour() % 12)
	case 'h':
		number((t.Hour()+11)%12 + 1)
	case 'm':
		number(t.Minute())
	case 's':
		number(t.Second())
	case 'S':
		number(t.Nanosecond() / int(time.Millisecond))
	case 'u':
		number((int(t.Weekday())+6)%7 + 1)
	case 'w':
		_, week := t.ISOWeek()
		number(week)
	default:
		return false
	}
	return true
}

// dateFields are the fields of a time that is read, and how Go calls them. Those that are not there are those of
// the beginning of 1970.
type dateFields struct {
	layout string
	values map[byte]string
}

// parseDate reads a time in the pattern of a SimpleDateFormat.
func parseDate(s, pattern string, zone *time.Location) (time.Time, error) {
	fields := dateFields{"2006 1 2 15 4 5.000", map[byte]string{'y': "1970", 'M': "1", 'd': "1", 'H': "0", 'm': "0", 's': "0", 'S': "000"}}
	unparseable := &Exception{Class: "java.text.ParseException", Message: "Unparseable date: \"" + clip(s) + "\""}
	rest := s[:min(len(s), len(pattern)+64)] // what is behind a date is not looked at
	for i := 0; i < len(pattern) && len(pattern) <= maxPattern; {
		c, n := pattern[i], 1
		for i+n < len(pattern) && pattern[i+n] == c && c != '\'' {
			n++
		}
		value := pattern[i : i+n]
		if c == '\'' {
			text, _, ended := strings.Cut(pattern[i+1:], "'")
			if !ended {
				return time.Time{}, unparseable
			}
			n, value = len(text)+2, cmp.Or(text, "'")
		}
		i += n
		if isLetter(c) {
			value = dateValue(rest, c, n, i < len(pattern) && isLetter(pattern[i]))
			fields.set(c, n, value)
		}
		if value == "" || !strings.HasPrefix(rest, value) {
			return time.Time{}, unparseable
		}
		rest = rest[len(value):]
	}
	at, err := fields.time(zone)
	if err != nil || len(pattern) > maxPattern {
		return time.Time{}, unparseable
	}
	return at, nil
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// set notes the value of a field of n letters.
func (d *dateFields) set(c byte, n int, value string) {
	switch {
	case c == 'M' && n == 3:
		d.layout = strings.Replace(d.layout, " 1 ", " Jan ", 1)
	case c == 'M' && n > 3:
		d.layout = strings.Replace(d.layout, " 1 ", " January ", 1)
	case c == 'y' && n == 2:
		value = "20" + value
	case c == 'S':
		value = (value + "000")[:3]
	case c == 'X':
		c = 'Z'
	}
	d.values[c] = value
}

func (d *dateFields) time(zone *time.Location) (time.Time, error) {
	v := d.values
	text := v['y'] + " " + v['M'] + " " + v['d'] + " " + v['H'] + " " + v['m'] + " " + v['s'] + "." + v['S']
	if z := v['Z']; z != "" {
		d.layout += " -0700"
		text += " " + strings.Replace(strings.Replace(z, "Z", "+0000", 1), ":", "", 1)
	}
	return time.ParseInLocation(d.layout, text, zone)
}

// dateValue is the text of a field at the beginning of a string; empty if there is none or it is not known. A
// number goes on to the next character that is no digit, or has n digits if another field follows at once.
func dateValue(s string, c byte, n int, adjacent bool) string {
	var allowed string
	most := len(s)
	switch {
	case c == 'E', c == 'M' && n > 2:
		allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	case strings.IndexByte("yMdHmsS", c) >= 0:
		allowed = "0123456789"
		if adjacent {
			most = min(n, most)
		}
	case c == 'Z' || c == 'X':
		allowed = "0123456789+-:Z"
	}
	end := 0
	for end < most && strings.IndexByte(allowed, s[end]) >= 0 {
		end++
	}
	return s[:end]
}
