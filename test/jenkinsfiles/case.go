// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package jenkinsfiles runs Jenkinsfiles as teams write them and compares what comes out with what
// Jenkins would do: the result, the graph of Blue Ocean, the log, artifacts and test reports. Each case
// is a folder; its own tests run all of them with agents on this machine, test/e2e runs them in pods.
package jenkinsfiles

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"sigs.k8s.io/yaml"
)

// Case is a folder: a Jenkinsfile, what it needs, and what it does.
type Case struct {
	// Name is the name of the folder, and of the pipeline.
	Name string `json:"-"`
	// Dir is the folder.
	Dir string `json:"-"`
	// About says in a line what is shown.
	About string `json:"about"`
	// MultiBranch makes a multi-branch pipeline of the repository. The Jenkinsfile is part of its first commit.
	MultiBranch bool `json:"multibranch,omitempty"`
	// Source lets a plain pipeline take the Jenkinsfile from the repository, whose first commit has it.
	Source bool `json:"source,omitempty"`
	// Pods says that its agents are pods of its own making; where agents are no pods it is refused.
	Pods bool `json:"pods,omitempty"`
	// Jobs are further pipelines; the one of the name x has the Jenkinsfile x.Jenkinsfile.
	Jobs []string `json:"jobs,omitempty"`
	// Credentials are put into the folder of the pipeline.
	Credentials []Credential `json:"credentials,omitempty"`
	// Commits follow the first one, which has what is in the folder repo.
	Commits []Commit `json:"commits,omitempty"`
	// Builds are those that are started, in order.
	Builds []Build `json:"builds"`
}

// Credential is a secret. Which fields count depends on the kind.
type Credential struct {
	ID string `json:"id"`
	// Kind is text, password, ssh or file.
	Kind     string `json:"kind"`
	Username string `json:"username,omitempty"`
	// Secret is the text, password, key or content of the file.
	Secret string `json:"secret"`
	// FileName is that of a file.
	FileName string `json:"fileName,omitempty"`
}

// Commit is a change of the repository.
type Commit struct {
	// Branch is made from main if it does not exist; empty is main.
	Branch  string `json:"branch,omitempty"`
	Message string `json:"message"`
	Author  string `json:"author,omitempty"`
	// Files are the new contents; an empty one removes the file.
	Files map[string]string `json:"files,omitempty"`
}

// Build is one build and what is expected of it. What is not given is not looked at, but the result and
// the graph.
type Build struct {
	// Job is one of the further jobs; empty is the case's own.
	Job string `json:"job,omitempty"`
	// Branch is that of a multi-branch pipeline.
	Branch string `json:"branch,omitempty"`
	// Commits are made before it. In a multi-branch pipeline the scan that follows starts the build.
	Commits []Commit `json:"commits,omitempty"`
	// Started says that something else has started it: the scan, another build.
	Started bool `json:"started,omitempty"`
	// Parameters are what it is started with.
	Parameters map[string]string `json:"parameters,omitempty"`
	// Beside lets the next build start when the log has this line, before this one has ended.
	Beside string `json:"beside,omitempty"`
	// Alone lets it start when all builds before it have ended.
	Alone bool `json:"alone,omitempty"`
	// Inputs are the answers to its questions, in order.
	Inputs []Answer `json:"inputs,omitempty"`
	// Stop is the line of the log at which it is stopped.
	Stop string `json:"stop,omitempty"`

	Result string `json:"result"`
	// Graph are the nodes, see Graph.
	Graph []string `json:"graph"`
	// Log are parts of lines that the log has in this order. One in slashes is a regular expression.
	Log []string `json:"log,omitempty"`
	// Absent are texts that the log has not.
	Absent []string `json:"absent,omitempty"`
	// Lines is the least number of lines of the log.
	Lines int `json:"lines,omitempty"`
	// Artifacts are all that it keeps, with their content; "*" is any.
	Artifacts   map[string]string `json:"artifacts,omitempty"`
	Tests       *Tests            `json:"tests,omitempty"`
	Description *string           `json:"description,omitempty"`
	DisplayName string            `json:"displayName,omitempty"`
	// Changes are the messages of its change set.
	Changes []string `json:"changes,omitempty"`
	// Agents is how many it got.
	Agents *int `json:"agents,omitempty"`
}

// withoutPods is the case where agents are no pods: nothing of it may begin.
func (c *Case) withoutPods() *Case {
	refused := *c
	refused.Builds = []Build{{
		Result: "FAILURE", Graph: []string{}, Agents: new(int),
		Log:    []string{"the agents of this server are no pods; use an agent with a label", "/^Finished: FAILURE$/"},
		Absent: []string{"[Pipeline] Start of Pipeline"},
	}}
	return &refused
}

// Answer is what is answered to an input.
type Answer struct {
	// ID is that of the input, with a capital letter as Jenkins has it; "*" is any.
	ID         string            `json:"id"`
	Abort      bool              `json:"abort,omitempty"`
	Parameters map[string]string `json:"parameters,omitempty"`
	// Submitter and Message are what the question says.
	Submitter string `json:"submitter,omitempty"`
	Message   string `json:"message,omitempty"`
}

// Tests are the counts of the test report.
type Tests struct {
	Passed  int `json:"passed"`
	Failed  int `json:"failed"`
	Skipped int `json:"skipped"`
}

var caseName = regexp.MustCompile(`^[0-9]{2}-[a-z0-9-]+$`)

// Load reads all cases below a folder. filter, if not empty, is a regular expression for their names.
func Load(root, filter string) ([]*Case, error) {
	want, err := regexp.Compile(filter)
	if err != nil {
		return nil, fmt.Errorf("filter of cases: %w", err)
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, fmt.Errorf("read cases: %w", err)
	}
	var cases []*Case
	for _, e := range entries {
		if !e.IsDir() || !want.MatchString(e.Name()) {
			continue
		}
		c, err := load(filepath.Join(root, e.Name()))
		if err != nil {
			return nil, fmt.Errorf("case %s: %w", e.Name(), err)
		}
		cases = append(cases, c)
	}
	if len(cases) == 0 {
		return nil, fmt.Errorf("no case below %s has a name like %q", root, filter)
	}
	return cases, nil
}

func load(dir string) (*Case, error) {
	content, err := os.ReadFile(filepath.Join(dir, "expect.yaml"))
	if err != nil {
		return nil, err
	}
	c := &Case{Name: filepath.Base(dir), Dir: dir}
	if err := yaml.UnmarshalStrict(content, c); err != nil {
		return nil, err
	}
	switch {
	case !caseName.MatchString(c.Name):
		err = errors.New("the name is not NN-name")
	case c.About == "":
		err = errors.New("it does not say what it is about")
	case len(c.Builds) == 0:
		err = errors.New("it has no builds")
	}
	for i, b := range c.Builds {
		if b.Result == "" || b.Graph == nil {
			err = errors.Join(err, fmt.Errorf("build %d has no result or no graph", i+1))
		}
	}
	return c, err
}

// File reads a file of the case with its placeholders filled in.
func (c *Case) File(name string, fill *strings.Replacer) (string, error) {
	content, err := os.ReadFile(filepath.Join(c.Dir, name))
	if err != nil {
		return "", fmt.Errorf("case %s: %w", c.Name, err)
	}
	return fill.Replace(string(content)), nil
}
