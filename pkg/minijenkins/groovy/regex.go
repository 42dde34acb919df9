// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package groovy

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
)

// Patterns are those of Go's regexp package, which run in linear time; what is written otherwise in Java
// is translated. Java's backreferences, look-around, possessive quantifiers, atomic groups and
// intersections of classes do not exist there and end with a clear error.

const (
	// maxPattern is the greatest length of a pattern in bytes.
	maxPattern = 4096
	// maxMatches bounds how many matches are kept.
	maxMatches = 200_000
	// maxRegexWork bounds the length of a text times the size of a pattern; it takes some seconds.
	maxRegexWork = 1 << 28
	// regexWorkPerStep is how much of it costs as much as one step of evaluation.
	regexWorkPerStep = 16
)

// compileSteps is what each instruction of a pattern costs when it is compiled.
const compileSteps = 16

// expression is a compiled pattern.
type expression struct {
	*regexp.Regexp
	// size is the number of its instructions.
	size int
}

// maxCompiled is how many patterns a machine keeps.
const maxCompiled = 64

func (f *frame) compile(source string, pos jenkinsfile.Pos) (*expression, error) {
	if re := f.m.patterns[source]; re != nil {
		return re, nil
	}
	if len(source) > maxPattern {
		return nil, throw(pos, "java.util.regex.PatternSyntaxException", "pattern with more than %d bytes", maxPattern)
	}
	re, err := compilePattern(source)
	if err != nil {
		return nil, throw(pos, "java.util.regex.PatternSyntaxException",
			"%s is no regular expression that is supported here (%v); look-around, backreferences and possessive quantifiers need Jenkins", clip(source), err)
	}
	if len(f.m.patterns) >= maxCompiled || f.m.patterns == nil {
		f.m.patterns = map[string]*expression{}
	}
	f.m.patterns[source] = re
	f.m.steps += compileSteps * re.size
	return re, nil
}

func compilePattern(source string) (*expression, error) {
	translated, err := translatePattern(source)
	if err != nil {
		return nil, err
	}
	parsed, err := syntax.Parse(translated, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	prog, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	re, err := regexp.Compile(translated)
	if err != nil {
		return nil, fmt.Errorf("%w", err)
	}
	return &expression{re, len(prog.Inst)}, nil
}

// weighRegex counts the work of matching a text, and refuses too much of it.
func (f *frame) weighRegex(re *expression, s string, pos jenkinsfile.Pos) error {
	work := (len(s) + 64) * re.size
	if work > maxRegexWork {
		return &LimitError{Message: "The text is too long for this regular expression", Pos: pos}
	}
	f.m.steps += work / regexWorkPerStep
	return f.tick(pos)
}

// javaClasses are the names of \p{…} that Go writes in another way.
var javaClasses = map[string]string{
	"Lower": "[:lower:]", "Upper": "[:upper:]", "ASCII": "[:ascii:]", "Alpha": "[:alpha:]", "Digit": "[:digit:]", "Alnum": "[:alnum:]",
	"Punct": "[:punct:]", "Graph": "[:graph:]", "Print": "[:print:]", "Blank": "[:blank:]", "Cntrl": "[:cntrl:]", "XDigit": "[:xdigit:]", "Space": "[:space:]",
	"IsAlphabetic": `\p{L}`, "IsDigit": `\p{Nd}`, "IsLetter": `\p{L}`, "IsUppercase": `\p{Lu}`, "IsLowercase": `\p{Ll}`,
}

// translatePattern writes a pattern of Java in the syntax of Go.
func translatePattern(source string) (string, error) {
	var b strings.Builder
	inClass := 0
	for i := 0; i < len(source); i++ {
		c := source[i]
		switch {
		case c == '\\' && i+1 < len(source):
			n, err := translateEscape(&b, source[i:], inClass > 0)
			if err != nil {
				return "", err
			}
			i += n - 1
			continue
		case inClass > 0 && c == '[':
			if strings.HasPrefix(source[i:], "[:") {
				// It is a class in a class in Java.
				return "", fmt.Errorf("a class inside of a class")
			}
			return "", fmt.Errorf("a class inside of a class")
		case inClass > 0 && strings.HasPrefix(source[i:], "&&"):
			return "", fmt.Errorf("an intersection of classes")
		case c == '[':
			inClass++
			b.WriteByte(c)
			if i+1 < len(source) && source[i+1] == '^' {
				b.WriteByte('^')
				i++
			}
			if i+1 < len(source) && source[i+1] == ']' {
				b.WriteString(`\]`)
				i++
			}
			continue
		case c == ']' && inClass > 0:
			inClass--
		case c == '}' && inClass == 0 && !closesRepeat(b.String()):
			b.WriteString(`\}`)
			continue
		}
		b.WriteByte(c)
	}
	return b.String(), nil
}

// closesRepeat tells if a '}' ends a {n,m} or a class.
func closesRepeat(before string) bool {
	i := strings.LastIndexByte(before, '{')
	return i >= 0 && !strings.ContainsAny(before[i:], "}")
}

// translateEscape writes the escape at the beginning of s and returns its length.
func translateEscape(b *strings.Builder, s string, inClass bool) (int, error) {
	class := func(set string) {
		if inClass {
			b.WriteString(set)
		} else {
			b.WriteString("[" + set + "]")
		}
	}
	switch c := s[1]; {
	case c >= '1' && c <= '9':
		return 0, fmt.Errorf("the backreference \\%c", c)
	case c == 'k' || c == 'G' || c == 'X':
		return 0, fmt.Errorf("the escape \\%c", c)
	case c == 'h':
		class(`\t \x{a0}`)
	case !inClass && outsideClass[c] != "":
		b.WriteString(outsideClass[c])
	case c == 'e':
		b.WriteString(`\x1b`)
	case c == 'u' && len(s) >= 6:
		b.WriteString(`\x{` + s[2:6] + `}`)
		return 6, nil
	case (c == 'p' || c == 'P') && len(s) > 2 && s[2] == '{':
		return translateClass(b, s, inClass, class)
	case c == '-' && inClass:
		b.WriteString(`\-`)
	case strings.IndexByte("\"'#%&,/:;<=>@_`~! -", c) >= 0:
		// Java takes every escaped sign; Go only some.
		b.WriteString(regexp.QuoteMeta(string(c)))
	case c >= 0x80:
		return 1, nil
	case c == 'Q':
		return translateQuote(b, s, inClass)
	default:
		b.WriteString(s[:2])
	}
	return 2, nil
}

// outsideClass are escapes that stand for several characters.
var outsideClass = map[byte]string{
	'H': `[^\t \x{a0}]`,
	'R': `(?:\r\n|[\n\x0b\f\r\x{85}\x{2028}\x{2029}])`,
	'Z': `\n?\z`,
}

// translateClass writes \p{name} or \P{name}.
func translateClass(b *strings.Builder, s string, inClass bool, class func(string)) (int, error) {
	end := strings.IndexByte(s, '}')
	if end < 0 {
		return 0, fmt.Errorf("\\%c without an end", s[1])
	}
	name := s[3:end]
	posix, known := javaClasses[name]
	switch {
	case !known:
		b.WriteString(s[:3] + strings.TrimPrefix(name, "Is") + "}")
	case s[1] == 'p':
		class(posix)
	case inClass:
		return 0, fmt.Errorf("\\P{%s} inside of a class", name)
	default:
		b.WriteString("[^" + posix + "]")
	}
	return end + 1, nil
}

// translateQuote writes what stands between \Q and \E.
func translateQuote(b *strings.Builder, s string, inClass bool) (int, error) {
	if inClass {
		return 0, fmt.Errorf("\\Q inside of a class")
	}
	end := strings.Index(s, `\E`)
	if end < 0 {
		b.WriteString(regexp.QuoteMeta(s[2:]))
		return len(s), nil
	}
	b.WriteString(regexp.QuoteMeta(s[2:end]))
	return end + 2, nil
}

// quotePattern is Java's Pattern.quote.
func quotePattern(s string) string { return `\Q` + strings.ReplaceAll(s, `\E`, `\E\\E\Q`) + `\E` }

// source returns the pattern that a value stands for.
func patternOf(v any) string {
	if p, ok := v.(Pattern); ok {
		return p.Source
	}
	return ToString(v)
}

func (f *frame) matchWhole(source, s string, pos jenkinsfile.Pos) (bool, error) {
	re, err := f.compile(`\A(?:`+source+`)\z`, pos)
	if err != nil {
		return false, err
	}
	if err := f.weighRegex(re, s, pos); err != nil {
		return false, err
	}
	return re.MatchString(s), nil
}

// matcher is the result of =~. Its matches are found when they are needed first.
type matcher struct {
	source, text string
	re           *expression
	// found are the places of all matches, nil before they were looked for.
	found [][]int
	done  bool
	// at is the number of the match that group tells about, -1 before find.
	at int
	// whole is the match of matches().
	whole []int
}

func (f *frame) matcher(source, s string, pos jenkinsfile.Pos) (any, error) {
	re, err := f.compile(source, pos)
	if err != nil {
		return nil, err
	}
	return &matcher{source: source, text: s, re: re, at: -1}, f.weighRegex(re, s, pos)
}

// all finds the matches.
func (m *matcher) all() [][]int {
	if !m.done {
		m.found, m.done = m.re.FindAllStringSubmatchIndex(m.text, maxMatches), true
	}
	return m.found
}

// groups gives the texts of a match.
func (m *matcher) groups(loc []int) []any {
	out := make([]any, len(loc)/2)
	for i := range out {
		if loc[2*i] >= 0 {
			out[i] = part(m.text[loc[2*i]:loc[2*i+1]], m.text)
		}
	}
	return out
}

// item is what a matcher gives for one match: the text, or a list with the groups.
func (m *matcher) item(i int) any {
	groups := m.groups(m.all()[i])
	if len(groups) == 1 {
		return groups[0]
	}
	return &List{Items: groups}
}

func (m *matcher) items() []any {
	out := make([]any, len(m.all()))
	for i := range out {
		out[i] = m.item(i)
	}
	return out
}

func (m *matcher) index(key any, pos jenkinsfile.Pos) (any, error) {
	i, ok := whole(key)
	if !ok {
		return nil, missingMethod(pos, "getAt", m, []any{key})
	}
	n := int64(len(m.all()))
	if i < 0 {
		i += n
	}
	if i < 0 || i >= n {
		return nil, throw(pos, "java.lang.IndexOutOfBoundsException", "index is out of range %d..%d (index = %d)", -n, n-1, i)
	}
	return m.item(int(i)), nil
}

// current is the match that group, start and end tell about.
func (m *matcher) current() []int {
	switch {
	case m.whole != nil:
		return m.whole
	case m.at >= 0 && m.at < len(m.all()):
		return m.all()[m.at]
	}
	return nil
}

func (c *methodCall) matcherMethod(m *matcher) (any, bool, error) {
	switch c.name {
	case "find":
		if len(c.args) > 0 {
			return nil, false, nil
		}
		m.whole = nil
		m.at++
		return m.at < len(m.all()), true, nil
	case "matches", "lookingAt":
		source := `\A(?:` + m.source + `)`
		if c.name == "matches" {
			source += `\z`
		}
		re, err := c.f.compile(source, c.pos)
		if err != nil {
			return nil, true, err
		}
		if err := c.f.weighRegex(re, m.text, c.pos); err != nil {
			return nil, true, err
		}
		m.whole = re.FindStringSubmatchIndex(m.text)
		return m.whole != nil, true, nil
	case "size", "getCount":
		return int64(len(m.all())), true, nil
	case "hasGroup":
		return m.re.NumSubexp() > 0, true, nil
	case "groupCount":
		return int64(m.re.NumSubexp()), true, nil
	case "reset":
		m.at, m.whole = -1, nil
		return m, true, nil
	case "group", "start", "end":
		return c.matcherGroup(m)
	case "replaceAll", "replaceFirst":
		inner := methodCall{f: c.f, obj: m.text, name: c.name, args: []any{Pattern{Source: m.source}, c.arg(0)}, pos: c.pos}
		return inner.replaceRegex(m.text)
	case "pattern":
		return Pattern{Source: m.source}, true, nil
	}
	list := &List{Items: m.items()}
	inner := methodCall{f: c.f, obj: list, name: c.name, args: c.args, pos: c.pos}
	v, ok, err := inner.listMethod(list)
	if c.name == "each" || c.name == "eachWithIndex" {
		v = m
	}
	return v, ok, err
}

func (c *methodCall) matcherGroup(m *matcher) (any, bool, error) {
	loc := m.current()
	if loc == nil {
		return nil, true, throw(c.pos, "java.lang.IllegalStateException", "No match found")
	}
	i, isIndex := c.intArg(0)
	if name, isName := text(c.arg(0)); isName {
		if i = m.re.SubexpIndex(name); i < 0 {
			return nil, true, throw(c.pos, "java.lang.IllegalArgumentException", "No group with name <%s>", clip(name))
		}
	} else if len(c.args) > 0 && !isIndex || i < 0 || 2*i >= len(loc) {
		return nil, true, throw(c.pos, "java.lang.IndexOutOfBoundsException", "No group %d", i)
	}
	switch c.name {
	case "group":
		return m.groups(loc)[i], true, nil
	case "start":
		return int64(runeCount(m.text, loc[2*i])), true, nil
	}
	return int64(runeCount(m.text, loc[2*i+1])), true, nil
}

// runeCount counts the characters in front of a byte; -1 stays.
func runeCount(s string, at int) int {
	if at <= 0 {
		return at
	}
	return len([]rune(s[:at]))
}

func (c *methodCall) patternMethod(p Pattern) (any, bool, error) {
	switch c.name {
	case "matcher":
		v, err := c.f.matcher(p.Source, c.str(0), c.pos)
		return v, len(c.args) == 1, err
	case "pattern", "toString":
		return p.Source, true, nil
	case "split":
		inner := methodCall{f: c.f, obj: c.str(0), name: "split", args: []any{p.Source}, pos: c.pos}
		return inner.split(c.str(0))
	}
	return nil, false, nil
}
