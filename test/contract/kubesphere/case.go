// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package kubesphere

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

//go:embed cases/*.yaml
var caseFiles embed.FS

// Case is a behaviour of the console.
type Case struct {
	// Name is unique; it names objects, too, so it is a DNS label of at most 30 characters.
	Name string `json:"name"`
	// Behaviour says in words what the console does and relies on.
	Behaviour string `json:"behaviour"`
	// Needs are what the case cannot run without, besides a server: see Environment.
	Needs []Need `json:"needs,omitempty"`
	// Once runs the case for one family of paths only: its routes have no project in their paths.
	Once bool `json:"once,omitempty"`
	// Steps are done in order; the first that fails ends the case.
	Steps []Step `json:"steps"`
	// Cleanup is done at the end in any case. Its failures fail the case.
	Cleanup []Step `json:"cleanup,omitempty"`

	file string
}

// Need is something that a case cannot run without.
type Need string

// The needs.
const (
	// NeedGit is a git repository with branches main and feat/x, each with a Jenkinsfile, which the server
	// under test and its Jenkins can reach: <<git>> is its address.
	NeedGit Need = "git"
	// NeedAgent is an agent for builds: <<agent>> is what stands behind `agent` in a Jenkinsfile.
	NeedAgent Need = "agent"
	// NeedSCM is a source code server of the kind gitea: <<scm>> is its address, <<scmtoken>> a token of it.
	NeedSCM Need = "scm"
	// NeedSonar is a SonarQube that the server under test knows.
	NeedSonar Need = "sonar"
	// NeedOther is the token of a user without any right, who runs steps `as: other`.
	NeedOther Need = "other"
	// NeedS3 is an object store behind the server under test.
	NeedS3 Need = "s3"
	// NeedObjects are a Template and an S2iBinary called contract in each project; no route makes them.
	NeedObjects Need = "objects"
)

// Step is a request and what is expected of its answer. In all its texts <<name>> stands for a variable: those of
// the environment, and those that earlier steps saved.
type Step struct {
	// Do is the request: METHOD path?query. The path is as it is sent, encoded.
	Do string `json:"do"`
	// As is who sends it: the token's user if empty, anonymous, or other.
	As string `json:"as,omitempty"`
	// Headers of the request.
	Headers map[string]string `json:"headers,omitempty"`
	// JSON, Form, Text and Files are the body; at most one of them.
	JSON  any               `json:"json,omitempty"`
	Form  map[string]string `json:"form,omitempty"`
	Text  string            `json:"text,omitempty"`
	Files map[string]File   `json:"files,omitempty"`
	// Sign signs the body as a source code server does.
	Sign *Sign `json:"sign,omitempty"`
	// Expect is what the console relies on.
	Expect Expect `json:"expect"`
	// Within repeats the step until its expectations hold, for at most so many seconds.
	Within int `json:"within,omitempty"`
	// Reread is how many steps before this one are done again, with it, when the answer is 409: a client reads again
	// what was changed by another, and repeats its own change.
	Reread int `json:"reread,omitempty"`
	// Save puts parts of the answer into variables: a path of keys and indices of its JSON, separated by slashes
	// (~1 is a slash in a key, [key] and [key=text] choose of a list), or `header:Name`, or `text`.
	Save map[string]string `json:"save,omitempty"`
}

// Sign puts the HMAC-SHA256 of the body into a header, as sha256= and hexadecimal digits (GitHub's format).
type Sign struct {
	Key    string `json:"key"`
	Header string `json:"header"`
}

// File is a part of a multipart body. Without a file name it is a plain field.
type File struct {
	Name    string `json:"name,omitempty"`
	Content string `json:"content"`
}

// Expect is what is expected of an answer. Every leaf of it is one check.
type Expect struct {
	// Status are the accepted codes. Default 200.
	Status []int `json:"status,omitempty"`
	// Headers by name: see matchers.
	Headers map[string]any `json:"headers,omitempty"`
	// JSON is matched by the body: see matchers.
	JSON any `json:"json,omitempty"`
	// Text is matched by the body as text.
	Text any `json:"text,omitempty"`
}

var caseName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?$`)

// Cases reads all cases whose names match the expression, sorted by file and place in it.
func Cases(match string) ([]Case, error) {
	expression, err := regexp.Compile(match)
	if err != nil {
		return nil, fmt.Errorf("cases to run: %w", err)
	}
	files, err := fs.Glob(caseFiles, "cases/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list cases: %w", err)
	}
	var all []Case
	seen := map[string]string{}
	for _, name := range files {
		content, err := caseFiles.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read cases: %w", err)
		}
		var cases []Case
		if err := yaml.UnmarshalStrict(content, &cases); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, c := range cases {
			c.file = strings.TrimSuffix(path.Base(name), ".yaml")
			if err := c.check(); err != nil {
				return nil, fmt.Errorf("%s: case %q: %w", name, c.Name, err)
			}
			if other, taken := seen[c.Name]; taken {
				return nil, fmt.Errorf("%s: case %q is in %s, too", name, c.Name, other)
			}
			seen[c.Name] = name
			if expression.MatchString(c.Name) {
				all = append(all, c)
			}
		}
	}
	return all, nil
}

func (c *Case) check() error {
	needs := []Need{NeedGit, NeedAgent, NeedSCM, NeedSonar, NeedOther, NeedS3, NeedObjects}
	switch {
	case !caseName.MatchString(c.Name):
		return errors.New("the name is no DNS label of at most 30 characters")
	case c.Behaviour == "":
		return errors.New("it says no behaviour")
	case len(c.Steps) == 0:
		return errors.New("it has no steps")
	}
	for _, need := range c.Needs {
		if !slices.Contains(needs, need) {
			return fmt.Errorf("need %q is not known", need)
		}
	}
	for i, step := range slices.Concat(c.Steps, c.Cleanup) {
		if err := step.check(); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
		if step.Reread < 0 || step.Reread > i {
			return fmt.Errorf("step %d: reread: there are no %d steps before it", i+1, step.Reread)
		}
	}
	return nil
}

func (s *Step) check() error {
	method, target, ok := strings.Cut(s.Do, " ")
	if !ok || method != strings.ToUpper(method) || !strings.HasPrefix(target, "<<") && !strings.HasPrefix(target, "/") {
		return fmt.Errorf("%q is not METHOD path", s.Do)
	}
	bodies := 0
	for _, given := range []bool{s.JSON != nil, s.Form != nil, s.Text != "", s.Files != nil} {
		if given {
			bodies++
		}
	}
	if bodies > 1 {
		return errors.New("it has more than one body")
	}
	if !slices.Contains([]string{"", "anonymous", "other"}, s.As) {
		return fmt.Errorf("as: %q is not known", s.As)
	}
	return nil
}
