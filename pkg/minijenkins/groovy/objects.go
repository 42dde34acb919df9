// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// Observer is a Host that gives scripts the time and random numbers. Both have to be the same when a
// build runs its script again.
type Observer interface {
	Now(ctx context.Context) time.Time
	Random(ctx context.Context) uint64
}

func (f *frame) clock(pos jenkinsfile.Pos) (time.Time, error) {
	o, ok := f.m.host.(Observer)
	if !ok {
		return time.Time{}, rejected(pos, "staticMethod java.lang.System currentTimeMillis")
	}
	return o.Now(f.ctx), nil
}

func (f *frame) random(pos jenkinsfile.Pos) (uint64, error) {
	o, ok := f.m.host.(Observer)
	if !ok {
		return 0, rejected(pos, "staticMethod java.lang.Math random")
	}
	return o.Random(f.ctx), nil
}

// uuid makes a random UUID.
func (f *frame) uuid(pos jenkinsfile.Pos) (any, error) {
	var b [16]byte
	for i := 0; i < len(b); i += 8 {
		n, err := f.random(pos)
		if err != nil {
			return nil, err
		}
		binary.BigEndian.PutUint64(b[i:], n)
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	s := hex.EncodeToString(b[:])
	return &uuidObject{s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]}, nil
}

// plainObject has neither properties nor methods.
type plainObject struct{}

func (plainObject) Property(context.Context, string) (any, bool, error) { return nil, false, nil }

func (plainObject) SetProperty(context.Context, string, any) (bool, error) { return false, nil }

func (plainObject) Call(context.Context, string, []any) (any, bool, error) { return nil, false, nil }

type uuidObject struct{ text string }

func (u *uuidObject) Property(context.Context, string) (any, bool, error)    { return nil, false, nil }
func (u *uuidObject) SetProperty(context.Context, string, any) (bool, error) { return false, nil }
func (u *uuidObject) Call(context.Context, string, []any) (any, bool, error) { return nil, false, nil }
func (u *uuidObject) String() string                                         { return u.text }
func (u *uuidObject) ClassName() string                                      { return "java.util.UUID" }

// bareObject is new Object().
type bareObject struct {
	plainObject
	_ byte // two of them are not the same
}

func (o *bareObject) String() string    { return "java.lang.Object@1" }
func (o *bareObject) ClassName() string { return "java.lang.Object" }

// randomObject is java.util.Random. A seed does not matter.
type randomObject struct{ m *Machine }

func (r *randomObject) Property(context.Context, string) (any, bool, error)    { return nil, false, nil }
func (r *randomObject) SetProperty(context.Context, string, any) (bool, error) { return false, nil }
func (r *randomObject) String() string                                         { return "java.util.Random@1" }
func (r *randomObject) ClassName() string                                      { return "java.util.Random" }

func (r *randomObject) Call(ctx context.Context, name string, args []any) (any, bool, error) {
	n, err := r.m.frame(ctx).random(jenkinsfile.Pos{})
	if err != nil {
		return nil, true, err
	}
	switch name {
	case "nextInt":
		if len(args) == 0 {
			return int64(int32(uint32(n))), true, nil
		}
		bound, ok := whole(args[0])
		if !ok || bound <= 0 || !isInteger(bound) {
			return nil, true, &Exception{Class: "java.lang.IllegalArgumentException", Message: "bound must be positive"}
		}
		return int64(n % uint64(bound)), true, nil
	case "nextLong":
		return Long(n), true, nil
	case "nextBoolean":
		return n&1 == 1, true, nil
	case "nextDouble":
		return float64(n>>11) / (1 << 53), true, nil
	}
	return nil, false, nil
}

// textBuilder is a StringBuilder.
type textBuilder struct {
	class string
	text  []byte
}

// String implements Object.
func (b *textBuilder) String() string { return string(b.text) }

// ClassName implements Object.
func (b *textBuilder) ClassName() string { return "java.lang." + b.class }

// Property implements Object.
func (b *textBuilder) Property(context.Context, string) (any, bool, error) { return nil, false, nil }

// SetProperty implements Object.
func (b *textBuilder) SetProperty(context.Context, string, any) (bool, error) { return false, nil }

// Call implements Object; builderMethod has what changes it.
func (b *textBuilder) Call(context.Context, string, []any) (any, bool, error) {
	return nil, false, nil
}

func (c *methodCall) builderMethod(b *textBuilder) (any, bool, error) {
	switch c.name {
	case "append", "leftShift":
		if len(c.args) != 1 {
			return nil, false, nil
		}
		add := c.str(0)
		if len(b.text)+len(add) > c.f.m.limits.StringBytes {
			return nil, true, &LimitError{Message: fmt.Sprintf("String of more than %d bytes", c.f.m.limits.StringBytes), Pos: c.pos}
		}
		b.text = append(b.text, add...)
		return b, true, c.f.charge(len(add), c.pos)
	case "setLength":
		n, ok := c.intArg(0)
		if !ok || n < 0 || n > len(b.text) {
			return nil, true, throw(c.pos, "java.lang.StringIndexOutOfBoundsException", "index %d,length %d", n, len(b.text))
		}
		for n > 0 && n < len(b.text) && !utf8.RuneStart(b.text[n]) {
			n--
		}
		b.text = b.text[:n]
		return nil, true, nil
	case "insert":
		n, ok := c.intArg(0)
		add := c.str(1)
		if !ok || n < 0 || n > len(b.text) || len(c.args) != 2 {
			return nil, true, throw(c.pos, "java.lang.StringIndexOutOfBoundsException", "offset %d, length %d", n, len(b.text))
		}
		if len(b.text)+len(add) > c.f.m.limits.StringBytes {
			return nil, true, &LimitError{Message: fmt.Sprintf("String of more than %d bytes", c.f.m.limits.StringBytes), Pos: c.pos}
		}
		b.text = slices.Insert(b.text, n, []byte(add)...)
		return b, true, c.f.charge(len(add), c.pos)
	case "reverse":
		r := []rune(string(b.text))
		slices.Reverse(r)
		b.text = []byte(string(r))
		return b, true, nil
	}
	return c.stringMethod(string(b.text))
}

// characterTest is a test of Character.
func characterTest(name, s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	switch name {
	case "isDigit":
		return unicode.IsDigit(r)
	case "isLetter":
		return unicode.IsLetter(r)
	case "isUpperCase":
		return unicode.IsUpper(r)
	case "isLowerCase":
		return unicode.IsLower(r)
	case "isWhitespace":
		return unicode.IsSpace(r)
	}
	return unicode.IsLetter(r) || unicode.IsDigit(r)
}
