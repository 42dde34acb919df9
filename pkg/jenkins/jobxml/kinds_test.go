// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jobxml

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins/jenkinstest"
)

func hosted() devopsv1alpha3.HostedSource {
	return devopsv1alpha3.HostedSource{
		ScmID: "id1", Owner: "team", Repo: "app", CredentialID: "cred", APIURI: "https://git.example/api?a=1&b=2", DiscoverBranches: 1, DiscoverPRFromOrigin: 2,
		DiscoverPRFromForks: &devopsv1alpha3.DiscoverPRFromForks{Strategy: 3, Trust: 2}, DiscoverTags: true,
		CloneOption: &devopsv1alpha3.GitCloneOption{Shallow: true, Timeout: 20, Depth: 1}, RegexFilter: "(main|größe)",
	}
}

// kinds has one job for every trigger, kind of parameter and kind of source.
func kinds() map[string]*devopsv1alpha3.PipelineSpec {
	out := map[string]*devopsv1alpha3.PipelineSpec{}
	flow := func(name string, change func(*devopsv1alpha3.NoScmPipeline)) {
		s := minimal()
		change(s.Pipeline)
		out[name] = s
	}
	multi := func(name string, change func(*devopsv1alpha3.MultiBranchPipeline)) {
		p := &devopsv1alpha3.MultiBranchPipeline{SourceType: "git", ScriptPath: "Jenkinsfile", GitSource: &devopsv1alpha3.GitSource{ScmID: "s", URL: "https://git.example/a.git"}}
		change(p)
		out[name] = &devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.MultiBranchPipelineType, MultiBranchPipeline: p}
	}
	for _, p := range full().Pipeline.Parameters {
		flow("parameter-"+p.Type, func(f *devopsv1alpha3.NoScmPipeline) { f.Parameters = []devopsv1alpha3.ParameterDefinition{p} })
	}
	flow("trigger-timer", func(f *devopsv1alpha3.NoScmPipeline) {
		f.TimerTrigger = &devopsv1alpha3.TimerTrigger{Cron: "TZ=Asia/Shanghai\nH 3 * * 1"}
	})
	flow("trigger-webhook", func(f *devopsv1alpha3.NoScmPipeline) { f.GenericWebhook = full().Pipeline.GenericWebhook })
	flow("parameter-trimmed", func(f *devopsv1alpha3.NoScmPipeline) {
		f.Parameters = []devopsv1alpha3.ParameterDefinition{{Name: "S", Type: "string", DefaultValue: " a ", Trim: true}}
	})
	flow("definition-branch", func(f *devopsv1alpha3.NoScmPipeline) { f.Jenkinsfile, f.Source = "", fromGit("main") })
	flow("definition-full", func(f *devopsv1alpha3.NoScmPipeline) {
		f.Jenkinsfile, f.Source = "", fromGit("refs/tags/v1.0")
		f.Source.CredentialID, f.Source.ScriptPath, f.Source.CloneOption = "cred", "ci/a&b.groovy", &devopsv1alpha3.GitCloneOption{Shallow: true, Timeout: 20, Depth: 1}
	})
	flow("definition-commit", func(f *devopsv1alpha3.NoScmPipeline) {
		f.Jenkinsfile, f.Source = "", fromGit("0123456789abcdef0123456789abcdef01234567")
		f.Source.Lightweight = new(bool)
	})
	multi("trigger-interval", func(m *devopsv1alpha3.MultiBranchPipeline) {
		m.TimerTrigger = &devopsv1alpha3.TimerTrigger{Interval: "600000"}
	})
	multi("trigger-branch-jobs", func(m *devopsv1alpha3.MultiBranchPipeline) {
		m.MultiBranchJobTrigger = &devopsv1alpha3.MultiBranchJobTrigger{CreateActionJobsToTrigger: "a/b", DeleteActionJobsToTrigger: "c/d"}
	})
	multi("source-git", func(m *devopsv1alpha3.MultiBranchPipeline) { m.GitSource.DiscoverBranches = true })
	multi("source-github", func(m *devopsv1alpha3.MultiBranchPipeline) {
		m.SourceType, m.GitSource, m.GitHubSource = "github", nil, &devopsv1alpha3.GitHubSource{HostedSource: hosted()}
	})
	multi("source-gitlab", func(m *devopsv1alpha3.MultiBranchPipeline) {
		m.SourceType, m.GitSource, m.GitlabSource = "gitlab", nil, &devopsv1alpha3.GitlabSource{HostedSource: hosted(), ServerName: "git.example"}
		m.GitlabSource.APIURI = "" // it belongs to the server
	})
	multi("source-bitbucket_server", func(m *devopsv1alpha3.MultiBranchPipeline) {
		m.SourceType, m.GitSource, m.BitbucketServerSource = "bitbucket_server", nil, &devopsv1alpha3.BitbucketServerSource{HostedSource: hosted()}
	})
	multi("source-svn", func(m *devopsv1alpha3.MultiBranchPipeline) {
		m.SourceType, m.GitSource = "svn", nil
		m.SvnSource = &devopsv1alpha3.SvnSource{ScmID: "id1", Remote: "https://svn.example/r", CredentialID: "cred", Includes: "trunk,branches/*", Excludes: "tags/old"}
	})
	multi("source-single_svn", func(m *devopsv1alpha3.MultiBranchPipeline) {
		m.SourceType, m.GitSource = "single_svn", nil
		m.SingleSvnSource = &devopsv1alpha3.SingleSvnSource{ScmID: "id1", Remote: "https://svn.example/r/trunk", CredentialID: "cred"}
	})
	return out
}

// fromGit is a source as it is read back.
func fromGit(ref string) *devopsv1alpha3.JenkinsfileSource {
	yes := true
	return &devopsv1alpha3.JenkinsfileSource{URL: "https://git.example/a&b.git", Ref: ref, ScriptPath: "Jenkinsfile", Lightweight: &yes}
}

func TestKinds(t *testing.T) {
	for name, spec := range kinds() {
		t.Run(name, func(t *testing.T) {
			got, err := Render(spec, Options{Hash: "0123abcd"})
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", name+".xml")
			if *update {
				if err := os.WriteFile(file, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Error(diff)
			}
			parsed, err := Parse(got)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(spec, &parsed.Spec); diff != "" {
				t.Errorf("not read back: %s", diff)
			}
			again, err := Merge(got, spec, Options{Hash: "0123abcd"})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(got), string(again)); diff != "" {
				t.Errorf("a merge of the same changes it: %s", diff)
			}
		})
	}
}

func TestHostedSourcesRefuse(t *testing.T) {
	for reason, change := range map[string]func(*devopsv1alpha3.MultiBranchPipeline){
		"no owner":         func(m *devopsv1alpha3.MultiBranchPipeline) { m.BitbucketServerSource.Owner = "" },
		"no repository":    func(m *devopsv1alpha3.MultiBranchPipeline) { m.BitbucketServerSource.Repo = "" },
		"unknown strategy": func(m *devopsv1alpha3.MultiBranchPipeline) { m.BitbucketServerSource.DiscoverBranches = 4 },
		"unknown trust":    func(m *devopsv1alpha3.MultiBranchPipeline) { m.BitbucketServerSource.DiscoverPRFromForks.Trust = 9 },
		// Jenkins would read a class that it does not know as no trust at all, and fail while it scans.
		"trust that the plugin lacks": func(m *devopsv1alpha3.MultiBranchPipeline) { m.BitbucketServerSource.DiscoverPRFromForks.Trust = 3 },
		"type without its source":     func(m *devopsv1alpha3.MultiBranchPipeline) { m.SourceType = "gitlab" },
		"unknown type":                func(m *devopsv1alpha3.MultiBranchPipeline) { m.SourceType = "cvs" },
	} {
		t.Run(reason, func(t *testing.T) {
			spec := kinds()["source-bitbucket_server"]
			change(spec.MultiBranchPipeline)
			if _, err := Render(spec, Options{}); !errors.Is(err, ErrInvalid) {
				t.Fatalf("err = %v", err)
			}
		})
	}
}

func TestMerge(t *testing.T) {
	opts := Options{Hash: "h2", AuthToken: "derived"}
	for reason, tc := range map[string]struct {
		spec           *devopsv1alpha3.PipelineSpec
		existing       func(doc string) string
		keeps, no      []string
		equalsRendered bool
	}{
		"property, trigger, parameter and attribute of other plugins": {
			spec: full(),
			existing: func(doc string) string {
				doc = strings.Replace(doc, "<properties>", "<properties><com.acme.Quota plugin=\"acme@1\"><n a=\"&quot;x&#10;\">5 &lt; 6 &#27;[0m</n></com.acme.Quota>", 1)
				doc = strings.Replace(doc, "<hudson.triggers.TimerTrigger>", "<com.acme.Trigger><spec>x</spec></com.acme.Trigger><hudson.triggers.TimerTrigger>", 1)
				doc = strings.Replace(doc, "<parameterDefinitions>", "<parameterDefinitions><com.acme.Param><name>Q</name></com.acme.Param>", 1)
				doc = strings.Replace(doc, "<disabled>false", "<disabled>true", 1)
				return strings.Replace(doc, "<actions></actions>", "<actions><com.acme.Act/></actions>", 1)
			},
			keeps: []string{`<com.acme.Quota plugin="acme@1">`, `<n a="&#34;x&#xA;">5 &lt; 6 &#27;[0m</n>`, "<com.acme.Trigger>", "<com.acme.Param>", "<disabled>true</disabled>", "<com.acme.Act>",
				"users-token", "<hudson.triggers.TimerTrigger>", "hudson.model.FileParameterDefinition"},
		},
		"what the spec no longer has goes": {
			spec:           minimal(),
			existing:       func(string) string { return string(must(Render(full(), Options{Hash: "h1"}))) },
			no:             []string{"TimerTrigger", "GenericTrigger", "ParameterDefinition", "BuildDiscarder", "DisableConcurrent", "users-token", "h1"},
			equalsRendered: true,
		},
		"trait, strategy and factory of other plugins": {
			spec: kinds()["source-github"],
			existing: func(doc string) string {
				doc = strings.Replace(doc, "<noTags>false", "<noTags>true", 1)
				doc = strings.Replace(doc, "<pruneDeadBranches>true</pruneDeadBranches>", "<pruneDeadBranches>false</pruneDeadBranches><abortBuilds>true</abortBuilds>", 1)
				doc = strings.Replace(doc, "<traits>", "<traits><com.acme.Trait><x>1</x></com.acme.Trait>", 1)
				doc = strings.Replace(doc, `<defaultProperties class="empty-list">`, `<defaultProperties class="java.util.Arrays$ArrayList">`, 1)
				doc = strings.Replace(doc, "<regex>(main|größe)", "<regex>old", 1)
				return strings.Replace(doc, "WorkflowBranchProjectFactory", "PipelineBranchDefaultsProjectFactory", 1)
			},
			keeps: []string{"<com.acme.Trait>", "<noTags>true", "<pruneDeadBranches>true", "<abortBuilds>true", `<defaultProperties class="java.util.Arrays$ArrayList">`, "PipelineBranchDefaultsProjectFactory", "<regex>(main|größe)</regex>"},
		},
		"another kind of source": {
			spec:           kinds()["source-svn"],
			existing:       func(string) string { return string(must(Render(kinds()["source-github"], Options{}))) },
			no:             []string{"github", "traits"},
			equalsRendered: true,
		},
		"settings within our own elements that the API does not have": {
			spec: full(),
			existing: func(doc string) string {
				doc = strings.Replace(doc, "<artifactNumToKeep>-1", "<artifactNumToKeep>3", 1)
				doc = strings.Replace(doc, "<genericVariables></genericVariables>", "<genericVariables><org.jenkinsci.plugins.gwt.GenericVariable><key>ref</key></org.jenkinsci.plugins.gwt.GenericVariable></genericVariables>", 1)
				doc = strings.Replace(doc, "<token>rec-hook</token>", "<token>old</token><tokenCredentialId>tok</tokenCredentialId>", 1)
				return strings.Replace(doc, "<abortPrevious>false", "<abortPrevious>true", 1)
			},
			keeps: []string{"<artifactNumToKeep>3", "<key>ref</key>", "<tokenCredentialId>tok</tokenCredentialId>", "<token>rec-hook</token>", "<abortPrevious>true"},
			no:    []string{"<token>old</token>"},
		},
		"a second source": {
			spec: kinds()["source-git"],
			existing: func(doc string) string {
				return strings.Replace(doc, "</data>", `<jenkins.branch.BranchSource><source class="com.acme.Source"><id>2</id><remote>r2</remote></source></jenkins.branch.BranchSource></data>`, 1)
			},
			keeps: []string{`<source class="com.acme.Source">`, "<remote>r2</remote>", "https://git.example/a.git"},
		},
	} {
		t.Run(reason, func(t *testing.T) {
			rendered := must(Render(tc.spec, opts))
			got, err := Merge([]byte(tc.existing(string(rendered))), tc.spec, opts)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range tc.keeps {
				if !strings.Contains(string(got), s) {
					t.Errorf("%s is lost in\n%s", s, got)
				}
			}
			for _, s := range tc.no {
				if strings.Contains(string(got), s) {
					t.Errorf("%s is still in\n%s", s, got)
				}
			}
			if tc.equalsRendered {
				if diff := cmp.Diff(string(rendered), string(got)); diff != "" {
					t.Error(diff)
				}
			}
			again, err := Merge(got, tc.spec, opts)
			if err != nil || string(again) != string(got) {
				t.Errorf("a second merge changes it again: %v\n%s", err, cmp.Diff(string(got), string(again)))
			}
		})
	}
	for reason, doc := range map[string]string{"broken": "<a>", "not XML": "x", "crossed": "<a><b></a></b>", "deep": strings.Repeat("<a>", 300) + strings.Repeat("</a>", 300), "two ends": "<a/></a>"} {
		if _, err := Merge([]byte(doc), minimal(), opts); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", reason, err)
		}
	}
}

// TestMergeRecorded merges into the documents that Jenkins gave: nothing of another plugin is lost.
func TestMergeRecorded(t *testing.T) {
	n := 0
	for _, file := range []string{"03-pipeline-job", "08-multibranch"} {
		for _, e := range jenkinstest.Load(t, "../testdata/recordings/"+file+".json") {
			if e.Request.Method != "GET" || !strings.HasSuffix(e.Request.Path, "/config.xml") || e.Response.Status != 200 {
				continue
			}
			doc := []byte(e.Response.Body.Text)
			parsed, err := Parse(doc)
			if err != nil {
				continue // TestParseRecorded says which
			}
			if b := parsed.Spec.MultiBranchPipeline; b != nil && b.SourceType == "" {
				continue // an empty job cannot be rendered
			}
			n++
			got, err := Merge(doc, &parsed.Spec, Options{AuthToken: parsed.AuthToken})
			if err != nil {
				t.Fatalf("%s: %v", e.Name, err)
			}
			again, err := Parse(got)
			if err != nil {
				t.Fatalf("%s: %v", e.Name, err)
			}
			again.Managed, again.Hash = parsed.Managed, parsed.Hash
			parsed.Sandbox = again.Sandbox // which is ours
			// With an own token the spec is as before.
			if diff := cmp.Diff(parsed, again); diff != "" {
				t.Errorf("%s: %s", e.Name, diff)
			}
			// The job of a branch gets its script from the repository; a pipeline has its own.
			known := map[string]bool{"/flow-definition/definition/scriptPath": true}
			was, now := leaves(t, doc), leaves(t, got)
			for path := range was {
				if !now[path] && !known[path] {
					t.Errorf("%s: %s is lost", e.Name, path)
				}
			}
		}
	}
	if n < 5 {
		t.Errorf("only %d documents", n)
	}
}

// leaves returns the paths of all elements of a document.
func leaves(t *testing.T, doc []byte) map[string]bool {
	t.Helper()
	root, err := parseTree(doc)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	var walk func(path string, e *element)
	walk = func(path string, e *element) {
		path += "/" + e.name
		out[path] = true
		for _, c := range e.children {
			walk(path, c)
		}
	}
	walk("", root)
	return out
}

func must(doc []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return doc
}
