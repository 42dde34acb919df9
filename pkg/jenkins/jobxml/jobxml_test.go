// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jobxml

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins/jenkinstest"
)

var update = flag.Bool("update", false, "write the golden files anew")

const jenkinsfile = "pipeline {\n\tagent { label 'dc-ns.app' }\n  stages { stage('ünï <&>') { steps { sh \"echo ${A} 'x' ]]>\" } } }\n}\n"

// full has every field that is rendered.
func full() *devopsv1alpha3.PipelineSpec {
	return &devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.NoScmPipelineType, Pipeline: &devopsv1alpha3.NoScmPipeline{
		Description: "all <properties> & ünï\nline 2",
		Discarder:   &devopsv1alpha3.DiscarderProperty{DaysToKeep: "7", NumToKeep: "10"},
		Parameters: []devopsv1alpha3.ParameterDefinition{
			{Name: "S", Type: "string", DefaultValue: "s-default", Description: "a string"},
			{Name: "T", Type: "text", DefaultValue: "line 1\nline 2", Description: "a text"},
			{Name: "B", Type: "boolean", DefaultValue: "true", Description: "a flag"},
			{Name: "C", Type: "choice", DefaultValue: "one\ntwo\nthree", Description: "a choice"},
			{Name: "PW", Type: "password", DefaultValue: "hidden-default", Description: "a password"},
			{Name: "FILE", Type: "file", Description: "a file"},
		},
		DisableConcurrent: true,
		TimerTrigger:      &devopsv1alpha3.TimerTrigger{Cron: "H 3 * * 1"},
		RemoteTrigger:     &devopsv1alpha3.RemoteTrigger{Token: "users-token"},
		GenericWebhook: &devopsv1alpha3.GenericWebhook{
			Enable: true, Token: "rec-hook", Cause: "hook called", PrintVariables: true, PrintPostContent: true,
			RequestVariables: []devopsv1alpha3.GenericVariable{{Key: "who", RegexpFilter: "[^a-z]"}},
			HeaderVariables:  []devopsv1alpha3.GenericVariable{{Key: "X-Event"}},
			FilterText:       "$who", FilterExpression: "^(a|b)$",
		},
		Jenkinsfile: jenkinsfile,
	}}
}

func minimal() *devopsv1alpha3.PipelineSpec {
	return &devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.NoScmPipelineType, Pipeline: &devopsv1alpha3.NoScmPipeline{Jenkinsfile: "pipeline {}"}}
}

func multi() *devopsv1alpha3.PipelineSpec {
	return &devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.MultiBranchPipelineType, MultiBranchPipeline: &devopsv1alpha3.MultiBranchPipeline{
		Description: "multi", Discarder: &devopsv1alpha3.DiscarderProperty{DaysToKeep: "30"},
		TimerTrigger: &devopsv1alpha3.TimerTrigger{Interval: "14400000"}, SourceType: "git", ScriptPath: "ci/Jenkinsfile",
		GitSource: &devopsv1alpha3.GitSource{
			ScmID: "src1", URL: "https://git.example/a&b.git", CredentialID: "cred", DiscoverBranches: true, DiscoverTags: true,
			CloneOption: &devopsv1alpha3.GitCloneOption{Shallow: true, Timeout: 20, Depth: 1}, RegexFilter: "(main|feature/.*)",
		},
		MultiBranchJobTrigger: &devopsv1alpha3.MultiBranchJobTrigger{CreateActionJobsToTrigger: "ns/on-create", DeleteActionJobsToTrigger: "ns/on-delete"},
	}}
}

func TestGolden(t *testing.T) {
	for name, tc := range map[string]struct {
		spec *devopsv1alpha3.PipelineSpec
		opts Options
	}{
		"full":    {full(), Options{AuthToken: "derived", Hash: "0123abcd"}},
		"minimal": {minimal(), Options{AuthToken: "derived", Hash: "0123abcd", Parameters: []devopsv1alpha3.ParameterDefinition{{Name: "FROM_FILE", Type: "string", DefaultValue: "x"}}}},
		"multi":   {multi(), Options{Hash: "0123abcd"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Render(tc.spec, tc.opts)
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
		})
	}
}

func TestRoundTrip(t *testing.T) {
	for name, spec := range map[string]*devopsv1alpha3.PipelineSpec{"full": full(), "minimal": minimal(), "multi": multi()} {
		t.Run(name, func(t *testing.T) {
			doc, err := Render(spec, Options{AuthToken: "derived", Hash: "h1"})
			if err != nil {
				t.Fatal(err)
			}
			got, err := Parse(doc)
			if err != nil {
				t.Fatal(err)
			}
			if !got.Managed || got.Hash != "h1" || got.Disabled {
				t.Errorf("parsed = %+v", got)
			}
			want := spec.DeepCopy()
			if want.Pipeline != nil {
				if token := (Options{AuthToken: "derived"}).Token(spec); got.AuthToken != token {
					t.Errorf("token = %q, want %q", got.AuthToken, token)
				}
				want.Pipeline.RemoteTrigger = nil
			}
			if diff := cmp.Diff(want, &got.Spec); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestEveryCharacterSurvives renders and reads scripts with every character that XML has trouble with.
func TestEveryCharacterSurvives(t *testing.T) {
	var all strings.Builder
	for r := rune(1); r < 0x3000; r++ {
		if utf8.ValidRune(r) {
			all.WriteRune(r)
		}
	}
	all.WriteString("\U0001F600 \U000F0001 \U000F0101 \uFFFD \uE000 &#27; &amp; \r\n \r \u2028 <![CDATA[ ]]> <!-- -- -->")
	spec := minimal()
	spec.Pipeline.Jenkinsfile = all.String()
	doc, err := Render(spec, Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(doc)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(all.String(), got.Spec.Pipeline.Jenkinsfile); diff != "" {
		t.Error(diff)
	}
}

func FuzzRoundTrip(f *testing.F) {
	f.Add("a\x1b[0m\r\n&#x1;\U000F0001")
	f.Fuzz(func(t *testing.T, script string) {
		spec := minimal()
		spec.Pipeline.Jenkinsfile = script
		doc, err := Render(spec, Options{})
		if err != nil {
			if utf8.ValidString(script) && !strings.ContainsAny(script, "\x00\uFFFE\uFFFF") {
				t.Fatalf("%q: %v", script, err)
			}
			return
		}
		got, err := Parse(doc)
		if err != nil || got.Spec.Pipeline.Jenkinsfile != script {
			t.Fatalf("%q became %+v, %v", script, got, err)
		}
	})
}

func TestRenderErrors(t *testing.T) {
	flow := func(change func(*devopsv1alpha3.NoScmPipeline)) *devopsv1alpha3.PipelineSpec {
		s := minimal()
		change(s.Pipeline)
		return s
	}
	mb := func(change func(*devopsv1alpha3.MultiBranchPipeline)) *devopsv1alpha3.PipelineSpec {
		s := multi()
		change(s.MultiBranchPipeline)
		return s
	}
	for reason, tc := range map[string]struct {
		spec *devopsv1alpha3.PipelineSpec
		opts Options
		want error
		text string
	}{
		"NUL in the Jenkinsfile": {flow(func(p *devopsv1alpha3.NoScmPipeline) { p.Jenkinsfile = "a\nb\x00" }), Options{}, ErrInvalid, "line 2"},
		"not UTF-8":              {flow(func(p *devopsv1alpha3.NoScmPipeline) { p.Jenkinsfile = "a\xff" }), Options{}, ErrInvalid, "line 1"},
		"U+FFFE":                 {flow(func(p *devopsv1alpha3.NoScmPipeline) { p.Description = "a\uFFFE" }), Options{}, ErrInvalid, "description"},
		"no pipeline":            {&devopsv1alpha3.PipelineSpec{Type: "pipeline"}, Options{}, ErrInvalid, "spec.pipeline"},
		"no multi-branch":        {&devopsv1alpha3.PipelineSpec{Type: "multi-branch-pipeline"}, Options{}, ErrInvalid, "multi_branch"},
		"unknown type":           {&devopsv1alpha3.PipelineSpec{Type: "x"}, Options{}, ErrInvalid, "unknown type"},
		"parameter type": {flow(func(p *devopsv1alpha3.NoScmPipeline) {
			p.Parameters = []devopsv1alpha3.ParameterDefinition{{Name: "A", Type: "map"}}
		}), Options{}, ErrInvalid, "map"},
		"parameter twice": {flow(func(p *devopsv1alpha3.NoScmPipeline) {
			p.Parameters = []devopsv1alpha3.ParameterDefinition{{Name: "A", Type: "text"}, {Name: "A", Type: "text"}}
		}), Options{}, ErrInvalid, "twice"},
		"choice without choices": {flow(func(p *devopsv1alpha3.NoScmPipeline) {
			p.Parameters = []devopsv1alpha3.ParameterDefinition{{Name: "A", Type: "choice", DefaultValue: "\n"}}
		}), Options{}, ErrInvalid, "no choices"},
		"discarder": {flow(func(p *devopsv1alpha3.NoScmPipeline) {
			p.Discarder = &devopsv1alpha3.DiscarderProperty{DaysToKeep: "a week"}
		}), Options{}, ErrInvalid, "days_to_keep"},
		"discarder too big": {flow(func(p *devopsv1alpha3.NoScmPipeline) {
			p.Discarder = &devopsv1alpha3.DiscarderProperty{NumToKeep: "99999999999"}
		}), Options{}, ErrInvalid, "num_to_keep"},
		"hash ends comment": {minimal(), Options{Hash: "--><x/>"}, ErrInvalid, "comment"},
		"other source":      {mb(func(p *devopsv1alpha3.MultiBranchPipeline) { p.SourceType = "svn" }), Options{}, ErrUnsupportedSource, "svn"},
		"source missing":    {mb(func(p *devopsv1alpha3.MultiBranchPipeline) { p.GitSource = nil }), Options{}, ErrUnsupportedSource, "git"},
		"no url":            {mb(func(p *devopsv1alpha3.MultiBranchPipeline) { p.GitSource.URL = "" }), Options{}, ErrInvalid, "url"},
		"interval":          {mb(func(p *devopsv1alpha3.MultiBranchPipeline) { p.TimerTrigger.Interval = "1h" }), Options{}, ErrInvalid, "interval"},
	} {
		t.Run(reason, func(t *testing.T) {
			doc, err := Render(tc.spec, tc.opts)
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
				t.Fatalf("err = %v, document = %s", err, doc)
			}
		})
	}
}

// TestParseRecorded reads documents that a real Jenkins sent.
func TestParseRecorded(t *testing.T) {
	body := func(file, name string) []byte {
		for _, e := range jenkinstest.Load(t, "../testdata/recordings/"+file) {
			if e.Name == name {
				return []byte(e.Response.Body.Text)
			}
		}
		t.Fatalf("no exchange is named %q", name)
		return nil
	}
	t.Run("every property", func(t *testing.T) {
		got, err := Parse(body("03-pipeline-job.json", "config.xml after the update"))
		if err != nil {
			t.Fatal(err)
		}
		want := full().Pipeline
		want.Description, want.RemoteTrigger = "all properties", nil
		want.Jenkinsfile = "pipeline { agent any\n stages { stage('one') { steps { echo \"hi ${params}\" } } } }\n"
		want.GenericWebhook.RequestVariables = []devopsv1alpha3.GenericVariable{{Key: "who"}}
		want.GenericWebhook.HeaderVariables = nil
		want.GenericWebhook.FilterText, want.GenericWebhook.FilterExpression = "", ""
		if diff := cmp.Diff(want, got.Spec.Pipeline); diff != "" {
			t.Error(diff)
		}
		if got.Managed || got.Hash != "" {
			t.Errorf("a job of somebody else is taken for ours: %+v", got)
		}
	})
	t.Run("control character", func(t *testing.T) {
		got, err := Parse(body("03-pipeline-job.json", "config.xml with a control character"))
		if err != nil || !strings.HasSuffix(got.Spec.Pipeline.Jenkinsfile, "// ctl [\x1b]") {
			t.Fatalf("%+v, %v", got, err)
		}
	})
	t.Run("multi-branch", func(t *testing.T) {
		got, err := Parse(body("08-multibranch.json", "config.xml"))
		if err != nil {
			t.Fatal(err)
		}
		want := &devopsv1alpha3.MultiBranchPipeline{
			Description: "multi", TimerTrigger: &devopsv1alpha3.TimerTrigger{Interval: "14400000"}, SourceType: "git", ScriptPath: "Jenkinsfile",
			GitSource: &devopsv1alpha3.GitSource{
				ScmID: "src1", URL: "file:///srv/repo/git/svc.git", DiscoverBranches: true, DiscoverTags: true,
				CloneOption: &devopsv1alpha3.GitCloneOption{Shallow: true, Timeout: 20, Depth: 1},
			},
		}
		if diff := cmp.Diff(want, got.Spec.MultiBranchPipeline); diff != "" {
			t.Error(diff)
		}
	})
}

func TestParseErrors(t *testing.T) {
	for reason, doc := range map[string]string{
		"empty":          "",
		"not XML":        "pipeline {}",
		"cut":            "<?xml version='1.1' encoding='UTF-8'?><flow-definition><description>",
		"other class":    "<com.cloudbees.hudson.plugins.folder.Folder/>",
		"other encoding": "<?xml version='1.0' encoding='ISO-8859-1'?><flow-definition/>",
		"not UTF-8":      "<flow-definition>\xff</flow-definition>",
		"wrong type":     "<flow-definition><keepDependencies>maybe</keepDependencies></flow-definition>",
		"entity":         "<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><flow-definition><description>&e;</description></flow-definition>",
		"huge":           "<flow-definition>" + strings.Repeat(" ", maxDocument) + "</flow-definition>",
		"unknown source": "<" + multiBranchClass + "><sources><data><jenkins.branch.BranchSource><source class='x.Svn'/></jenkins.branch.BranchSource></data></sources></" + multiBranchClass + ">",
	} {
		t.Run(reason, func(t *testing.T) {
			if got, err := Parse([]byte(doc)); !errors.Is(err, ErrInvalid) {
				t.Fatalf("parsed = %+v, %v", got, err)
			}
		})
	}
	t.Run("unknown elements and parameter classes are left out", func(t *testing.T) {
		got, err := Parse([]byte("<flow-definition><new>x</new><properties><hudson.model.ParametersDefinitionProperty><parameterDefinitions>" +
			"<a.b.GitParameter><name>G</name></a.b.GitParameter><hudson.model.ChoiceParameterDefinition><name>C</name><choices><string>1</string><string>2</string></choices>" +
			"</hudson.model.ChoiceParameterDefinition></parameterDefinitions></hudson.model.ParametersDefinitionProperty></properties></flow-definition>"))
		if err != nil {
			t.Fatal(err)
		}
		want := []devopsv1alpha3.ParameterDefinition{{Name: "C", Type: "choice", DefaultValue: "1\n2"}}
		if diff := cmp.Diff(want, got.Spec.Pipeline.Parameters); diff != "" {
			t.Error(diff)
		}
	})
}
