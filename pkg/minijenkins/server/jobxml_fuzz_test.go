// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// seedXML gives a fuzz test the documents of the recordings and some that are meant to harm.
func seedXML(f *testing.F) {
	f.Helper()
	files, err := filepath.Glob(recordings + "*.json.gz")
	if err != nil || len(files) == 0 {
		f.Fatal("no recordings", err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		for _, ex := range recorded(f, file) {
			texts := []string{ex.Request.Body}
			if t := ex.Response.Body.Text; t != nil {
				texts = append(texts, *t)
			}
			for _, text := range texts {
				if strings.HasPrefix(strings.TrimSpace(text), "<") && !strings.Contains(text, "<html") && len(text) < 8<<10 && !seen[text] {
					seen[text] = true
					f.Add([]byte(text))
				}
			}
		}
	}
	if len(seen) < 20 {
		f.Fatalf("%d documents in the recordings", len(seen))
	}
	for _, doc := range hostileXML {
		if len(doc) < 8<<10 {
			f.Add([]byte(doc))
		}
	}
	for _, kind := range []string{"folder", "pipeline", "multibranch"} {
		f.Add([]byte("<?xml version='1.0' encoding='ISO-8859-1'?><" + kind + "><description>gr\xf6\xdfe</description></" + kind + ">"))
	}
}

// hostileXML are documents that must be refused, or read within bounds.
var hostileXML = map[string]string{
	"a bomb of entities": `<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>` +
		`<flow-definition><description>&c;</description></flow-definition>`,
	"a file of the server":     `<!DOCTYPE l [<!ENTITY f SYSTEM "file:///etc/passwd">]><flow-definition><description>&f;</description></flow-definition>`,
	"too deep":                 strings.Repeat("<a>", 100_000) + strings.Repeat("</a>", 100_000),
	"too many elements":        "<flow-definition>" + strings.Repeat("<a/>", 2_000_000) + "</flow-definition>",
	"UTF-16":                   "\xff\xfe<\x00a\x00/\x00>\x00",
	"an encoding nobody knows": `<?xml version='1.0' encoding='EBCDIC-1047'?><flow-definition/>`,
	"broken UTF-8":             "<flow-definition><description>\xff\xfe</description></flow-definition>",
	"a second root":            "<flow-definition/><flow-definition/>",
	"text behind the end":      "<flow-definition></flow-definition>x",
	"NUL":                      "<flow-definition><description>\x00</description></flow-definition>",
	"NUL as a reference":       "<?xml version='1.1'?><flow-definition><description>&#0;</description></flow-definition>",
	"a control in 1.0":         "<?xml version='1.0'?><flow-definition><description>&#1;</description></flow-definition>",
	"an unknown entity":        "<flow-definition><description>&nbsp;</description></flow-definition>",
	"nothing":                  "",
	"no end":                   "<flow-definition><description>",
	"an attribute twice open":  `<flow-definition a="`,
}

func TestHostileXML(t *testing.T) {
	for reason, doc := range hostileXML {
		t.Run(reason, func(t *testing.T) {
			begin := time.Now()
			if _, err := parseConfig([]byte(doc)); err == nil {
				t.Error("it is taken")
			}
			if took := time.Since(begin); took > time.Minute {
				t.Errorf("it takes %s", took)
			}
		})
	}
	// What is big but harmless is taken, and in a time that grows with its length only.
	for reason, doc := range map[string]string{
		"comments in a text": "<flow-definition><description>" + strings.Repeat("x<!-- -->", 500_000) + "</description></flow-definition>",
		"a long script":      "<flow-definition><definition><script>" + strings.Repeat("echo &quot;x&quot;\n", 500_000) + "</script></definition></flow-definition>",
		"many attributes":    "<flow-definition" + strings.Repeat(` a="b"`, 100_000) + "></flow-definition>",
		"a byte order mark":  "\xef\xbb\xbf<?xml version='1.1' encoding='UTF-8'?><flow-definition><description>x</description></flow-definition>",
		"another encoding":   "<?xml version='1.0' encoding='ISO-8859-1'?><flow-definition><description>gr\xf6\xdfe</description></flow-definition>",
	} {
		t.Run(reason, func(t *testing.T) {
			begin := time.Now()
			c, err := parseConfig([]byte(doc))
			if err != nil {
				t.Fatal(err)
			}
			if reason == "another encoding" && *c.description != "größe" {
				t.Errorf("description %q", *c.description)
			}
			if took := time.Since(begin); took > time.Minute {
				t.Errorf("it takes %s", took)
			}
		})
	}
}

// FuzzJobXML reads any document as config.xml. What is taken can be edited: then the element has the new text, and nothing else of the
// configuration has changed.
func FuzzJobXML(f *testing.F) {
	seedXML(f)
	f.Fuzz(func(t *testing.T, doc []byte) {
		before, err := parseConfig(doc)
		if err != nil {
			return
		}
		const text = `new & <text> "größe"`
		edited, err := setElement(doc, "description", text)
		if err != nil {
			return // the root closes itself
		}
		after, err := parseConfig(edited)
		if err != nil {
			t.Fatalf("%v\n%s\n%s", err, doc, edited)
		}
		if after.description == nil || *after.description != text {
			t.Fatalf("description %v\n%s\n%s", after.description, doc, edited)
		}
		before.description, after.description = nil, nil
		if !reflect.DeepEqual(before, after) {
			t.Fatalf("%+v\n%+v\n%s\n%s", before, after, doc, edited)
		}
		again, err := setElement(edited, "description", text)
		if err != nil || string(again) != string(edited) {
			t.Fatalf("the second edit changes something: %v\n%s\n%s", err, edited, again)
		}
	})
}

// FuzzCredentialXML reads any document as a credential and as a view.
func FuzzCredentialXML(f *testing.F) {
	seedXML(f)
	f.Fuzz(func(t *testing.T, doc []byte) {
		root, err := parseXML(doc)
		if err != nil {
			return
		}
		if !utf8.ValidString(root.name) {
			t.Fatalf("name %q", root.name)
		}
		if edited, err := setJobNames(doc, []string{"a & b", "größe"}); err == nil {
			again, err := parseXML(edited)
			var names []string
			if err != nil {
				t.Fatalf("%v\n%s\n%s", err, doc, edited)
			}
			if collectStrings(again.child("jobNames"), &names); !reflect.DeepEqual(names, []string{"a & b", "größe"}) {
				t.Fatalf("names %q\n%s\n%s", names, doc, edited)
			}
		}
	})
}
