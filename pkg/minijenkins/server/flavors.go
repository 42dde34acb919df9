// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/antchfx/xmlquery"
	"github.com/antchfx/xpath"
)

// The remote API speaks JSON, XML and Python literals. The last two are made of the first: what an object looks like is decided once.

const (
	typeXMLAnswer = "application/xml;charset=UTF-8"
	typePython    = "text/x-python;charset=UTF-8"
)

// flavorOf is the last part of the address of a remote API: json, xml or python.
func flavorOf(r *http.Request) string {
	switch p := strings.TrimSuffix(r.URL.EscapedPath(), "/"); {
	case strings.HasSuffix(p, "/api/xml"):
		return "xml"
	case strings.HasSuffix(p, "/api/python"):
		return "python"
	}
	return "json"
}

// writeAPI answers with an object that was rendered as JSON, in the flavor that the request asks for.
func writeAPI(w http.ResponseWriter, r *http.Request, body []byte) {
	switch flavorOf(r) {
	case "xml":
		writeXML(w, r, body)
	case "python":
		text, err := pythonOf(body)
		if err != nil {
			fail500(w, r, err.Error())
			return
		}
		mark(w)
		writePage(w, http.StatusOK, typePython, text)
	default:
		writeJSON(w, r.URL.Query(), body)
	}
}

// errXPath is an answer about an XPath that gave no document.
type errXPath struct {
	status  int
	message string
}

func (e *errXPath) Error() string { return e.message }

// wrapperName is what Jenkins takes as the name of a wrapper.
var wrapperName = regexp.MustCompile(`^[a-zA-Z0-9_.-]+$`)

// writeXML answers as api/xml does: exclude takes nodes away, xpath picks what is shown, wrapper puts an element around it.
func writeXML(w http.ResponseWriter, r *http.Request, body []byte) {
	q := r.URL.Query()
	doc, err := xmlOf(body, q.Get("pretty") == "true")
	if err != nil {
		fail500(w, r, err.Error())
		return
	}
	text, contentType := doc, typeXMLAnswer
	if q.Has("xpath") || q.Has("exclude") {
		text, contentType, err = pick(doc, q.Get("xpath"), q.Get("wrapper"), q["exclude"], strings.Contains(r.URL.Path, "/crumbIssuer/"))
	}
	var bad *errXPath
	switch {
	case errors.As(err, &bad):
		mark(w)
		w.Header().Set("Content-Type", "text/html;charset=UTF-8")
		writePage(w, bad.status, typeHTML, page("Error - Jenkins", "<h1>Error</h1><p>"+escapeXML(bad.message)+"</p>"))
	case err != nil:
		fail500(w, r, err.Error())
	default:
		mark(w)
		writePage(w, http.StatusOK, contentType, text)
	}
}

// pick applies the parameters exclude, xpath and wrapper. Texts and numbers without an element around them are for the crumb only, as
// in Jenkins, which fears pages of other sites that read them as scripts.
func pick(doc, expr, wrapper string, exclude []string, plain bool) (text, contentType string, err error) {
	if len(doc) > maxXPathDoc {
		return "", "", errXPathCost
	}
	root, err := xmlquery.Parse(strings.NewReader(doc))
	if err != nil {
		return "", "", fmt.Errorf("read own XML: %w", err)
	}
	with := &xpaths{root, xpathSteps}
	for _, x := range exclude {
		e, err := compileXPath(x)
		if err != nil {
			return "", "", err
		}
		gone, err := with.nodes(e)
		if err != nil {
			return "", "", err
		}
		for _, n := range gone {
			xmlquery.RemoveFromTree(n)
		}
	}
	if expr == "" {
		if text := outerXML(root); text != "" {
			return text, typeXMLAnswer, nil
		}
		return "", "", &errXPath{http.StatusNotFound, "Nothing is left"}
	}
	e, err := compileXPath(expr)
	if err != nil {
		return "", "", err
	}
	v, err := with.value(e)
	switch {
	case err != nil:
		return "", "", err
	case !isNodes(v) && !plain:
		return "", "", errPrimitive
	case !isNodes(v):
		return fmt.Sprint(v), typeText, nil
	}
	found, err := with.nodes(e)
	if err != nil {
		return "", "", err
	}
	if wrapper != "" {
		return wrap(wrapper, found)
	}
	switch {
	case len(found) == 0:
		return "", "", &errXPath{http.StatusNotFound, "XPath " + expr + " didn’t match"}
	case len(found) > 1:
		return "", "", &errXPath{http.StatusInternalServerError, fmt.Sprintf("XPath %s matched %d nodes. Create XPath that only matches one, or use the “wrapper” query parameter to wrap them all under a root element.", expr, len(found))}
	case found[0].Type == xmlquery.DocumentNode:
		return outerXML(found[0]), typeXMLAnswer, nil
	case found[0].Type == xmlquery.ElementNode:
		return found[0].OutputXML(true), typeXMLAnswer, nil
	case plain:
		return found[0].InnerText(), typeText, nil
	}
	return "", "", errPrimitive
}

// outerXML is a document without its prolog, which Jenkins does not send.
func outerXML(doc *xmlquery.Node) string {
	if top := doc.SelectElement("*"); top != nil {
		return top.OutputXML(true)
	}
	return ""
}

func isNodes(v any) bool {
	_, ok := v.(*xpath.NodeIterator)
	return ok
}

var errPrimitive = &errXPath{http.StatusForbidden, "primitive XPath result sets forbidden; implement jenkins.security.SecureRequester"}

func wrap(wrapper string, found []*xmlquery.Node) (text, contentType string, err error) {
	if !wrapperName.MatchString(wrapper) {
		return "", "", &errXPath{http.StatusBadRequest, "The wrapper parameter can only contain alphanumeric characters or dash/dot/underscore."}
	}
	if len(found) == 0 {
		return "<" + wrapper + "/>", typeXMLAnswer, nil
	}
	var b strings.Builder
	b.WriteString("<" + wrapper + ">")
	for _, n := range found {
		if n.Type != xmlquery.ElementNode && n.Type != xmlquery.DocumentNode {
			b.WriteString(xmlText(n.InnerText()))
			continue
		}
		b.WriteString(n.OutputXML(true))
	}
	b.WriteString("</" + wrapper + ">")
	return b.String(), typeXMLAnswer, nil
}

// xmlOf writes JSON as Jenkins' XML: a property is an element, an entry of a list an element named in the singular, null is left out,
// the class is an attribute, and the root is named after the class.
func xmlOf(body []byte, pretty bool) (string, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	x := &xmlWriter{d: d, pretty: pretty}
	tok, err := d.Token()
	if err != nil {
		return "", fmt.Errorf("read own JSON: %w", err)
	}
	if err := x.value("", tok, 0); err != nil {
		return "", err
	}
	return x.b.String(), nil
}

type xmlWriter struct {
	d      *json.Decoder
	b      strings.Builder
	pretty bool
}

func (x *xmlWriter) indent(depth int) {
	if x.pretty && x.b.Len() > 0 {
		x.b.WriteByte('\n')
		x.b.WriteString(strings.Repeat("  ", depth))
	}
}

// value writes the value that begins with a token as an element. An empty name is the root's.
func (x *xmlWriter) value(name string, tok json.Token, depth int) error {
	switch t := tok.(type) {
	case json.Delim:
		if t == '[' {
			return x.list(name, depth)
		}
		return x.object(name, depth)
	case nil:
		return nil
	default:
		x.indent(depth)
		name = xmlName(name)
		x.b.WriteString("<" + name + ">" + xmlText(fmt.Sprint(t)) + "</" + name + ">")
		return nil
	}
}

func (x *xmlWriter) list(name string, depth int) error {
	one := singular(name)
	for x.d.More() {
		tok, err := x.d.Token()
		if err != nil {
			return err
		}
		if err := x.value(one, tok, depth); err != nil {
			return err
		}
	}
	_, err := x.d.Token() // ]
	return err
}

func (x *xmlWriter) object(name string, depth int) error {
	class, open, children := "", false, false
	begin := func() {
		if open {
			return
		}
		open = true
		if name == "" {
			name = rootName(class)
		}
		name = xmlName(name)
		x.indent(depth)
		x.b.WriteString("<" + name)
		if class != "" {
			x.b.WriteString(" _class='" + strings.ReplaceAll(xmlText(class), "'", "&apos;") + "'")
		}
		x.b.WriteString(">")
	}
	for x.d.More() {
		key, err := x.d.Token()
		if err != nil {
			return err
		}
		val, err := x.d.Token()
		if err != nil {
			return err
		}
		if key == "_class" && !open {
			class, _ = val.(string)
			continue
		}
		begin()
		children = true
		if err := x.value(fmt.Sprint(key), val, depth+1); err != nil {
			return err
		}
	}
	begin()
	if _, err := x.d.Token(); err != nil { // }
		return err
	}
	if children {
		x.indent(depth)
	}
	x.b.WriteString("</" + name + ">")
	return nil
}

// rootName is the class without its package, with a small first letter unless it begins with an abbreviation.
func rootName(class string) string {
	name := class[strings.LastIndexAny(class, ".$")+1:]
	if name == "" {
		return "object"
	}
	first, size := utf8.DecodeRuneInString(name)
	second, _ := utf8.DecodeRuneInString(name[size:])
	if unicode.IsUpper(first) && unicode.IsUpper(second) {
		return name
	}
	return string(unicode.ToLower(first)) + name[size:]
}

// singular is the name of an entry of a list.
func singular(name string) string {
	if s, ok := strings.CutSuffix(name, "ies"); ok {
		return s + "y"
	}
	return strings.TrimSuffix(name, "s")
}

// xmlName makes a name legal for an element.
func xmlName(name string) string {
	start := func(r rune) bool { return r == '_' || unicode.IsLetter(r) }
	var b strings.Builder
	for i, r := range name {
		switch {
		case i == 0 && !start(r):
			b.WriteByte('_')
			if r != '-' && r != '.' && !unicode.IsDigit(r) {
				continue
			}
			b.WriteRune(r)
		case start(r) || r == '-' || r == '.' || unicode.IsDigit(r):
			b.WriteRune(r)
		default:
			b.WriteByte('_')
		}
	}
	if b.Len() == 0 {
		return "_"
	}
	return b.String()
}

// xmlText escapes a text. Characters that XML does not have become U+FFFD.
func xmlText(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '&':
			b.WriteString("&amp;")
		case r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff:
			b.WriteRune(utf8.RuneError)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// pythonOf writes JSON as a Python literal.
func pythonOf(body []byte) (string, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var b strings.Builder
	// inside has for each open object or list how many tokens of it were written, with the sign of an object's.
	type level struct {
		object bool
		n      int
	}
	var inside []level
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return b.String(), nil
		}
		if err != nil {
			return "", fmt.Errorf("read own JSON: %w", err)
		}
		if t, ok := tok.(json.Delim); ok && (t == ']' || t == '}') {
			inside = inside[:len(inside)-1]
			b.WriteRune(rune(t))
			continue
		}
		if n := len(inside); n > 0 {
			l := &inside[n-1]
			switch {
			case l.object && l.n%2 == 1:
				b.WriteByte(':')
			case l.n > 0:
				b.WriteByte(',')
			}
			l.n++
		}
		switch t := tok.(type) {
		case json.Delim:
			inside = append(inside, level{object: t == '{'})
			b.WriteRune(rune(t))
		case nil:
			b.WriteString("None")
		case bool:
			b.WriteString(map[bool]string{true: "True", false: "False"}[t])
		case string:
			b.WriteString(pythonString(t))
		default:
			fmt.Fprint(&b, t)
		}
	}
}

func pythonString(s string) string {
	var b strings.Builder
	prefix := ""
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r > '~':
			if r > '~' {
				prefix = "u"
			}
			for _, u := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&b, `\u%04x`, u)
			}
			if r < ' ' {
				prefix = "u"
			}
		default:
			b.WriteRune(r)
		}
	}
	return prefix + `"` + b.String() + `"`
}
