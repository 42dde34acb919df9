// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jobxml

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

func fromRepository() *devopsv1alpha3.PipelineSpec {
	return &devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.NoScmPipelineType, Pipeline: &devopsv1alpha3.NoScmPipeline{Source: fromGit("main")}}
}

func TestSourceThatJenkinsWouldTakeForAnother(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		change func(*devopsv1alpha3.NoScmPipeline)
		says   string
	}{
		"both":          {"which one counts nobody could tell", func(p *devopsv1alpha3.NoScmPipeline) { p.Jenkinsfile = "x" }, "not both"},
		"url as option": {"git would take it for one", func(p *devopsv1alpha3.NoScmPipeline) { p.Source.URL = "--upload-pack=touch /tmp/x" }, "source.url begins with -"},
		"no url":        {"nothing to clone", func(p *devopsv1alpha3.NoScmPipeline) { p.Source.URL = "" }, "source.url is empty"},
		"no ref":        {"Jenkins would build any branch", func(p *devopsv1alpha3.NoScmPipeline) { p.Source.Ref = "" }, "source.ref is empty"},
		"pattern":       {"Jenkins would build whatever matches", func(p *devopsv1alpha3.NoScmPipeline) { p.Source.Ref = "*/main" }, "no branch, tag or commit"},
		"regex":         {"the same in another form", func(p *devopsv1alpha3.NoScmPipeline) { p.Source.Ref = ":.*" }, "no branch, tag or commit"},
		"option":        {"git would take it for an option", func(p *devopsv1alpha3.NoScmPipeline) { p.Source.Ref = "--upload-pack=x" }, "no branch, tag or commit"},
		"range":         {"git allows it in no name", func(p *devopsv1alpha3.NoScmPipeline) { p.Source.Ref = "a..b" }, "no branch, tag or commit"},
		"new line":      {"git allows it in no name", func(p *devopsv1alpha3.NoScmPipeline) { p.Source.Ref = "a\nb" }, "no branch, tag or commit"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := fromRepository()
			tc.change(spec.Pipeline)
			if _, err := Render(spec, Options{}); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%s: %v, want %q", tc.reason, err, tc.says)
			}
		})
	}
}

func TestDriftOfASource(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		change func(string) string
		want   []string
	}{
		"Same":     {"what we wrote", replace(), nil},
		"Spelling": {"Jenkins' own form of the same branch", replace("refs/heads/main", "*/main"), nil},
		"Others": {"what the API does not know is kept", replace("<extensions></extensions>",
			"<extensions><hudson.plugins.git.extensions.impl.SubmoduleOption><recursiveSubmodules>true</recursiveSubmodules></hudson.plugins.git.extensions.impl.SubmoduleOption></extensions>",
			"<url>", "<name>origin</name><refspec>+refs/heads/main:refs/remotes/origin/main</refspec><url>"), nil},
		"URL":         {"another repository", replace("a&amp;b.git", "evil.git"), []string{"source"}},
		"Branch":      {"another branch", replace("refs/heads/main", "refs/heads/dev"), []string{"source"}},
		"Path":        {"another file", replace("<scriptPath>Jenkinsfile", "<scriptPath>other"), []string{"source"}},
		"Credential":  {"somebody else's", replace("</url>", "</url><credentialsId>root</credentialsId>"), []string{"source"}},
		"Lightweight": {"it was switched off", replace("<lightweight>true", "<lightweight>false"), []string{"source"}},
		"OtherSCM":    {"not even git", replace(`class="hudson.plugins.git.GitSCM"`, `class="hudson.scm.NullSCM"`), []string{"source"}},
		"Inline": {"a script that nobody reviewed", replace("cps.CpsScmFlowDefinition", "cps.CpsFlowDefinition", "<scriptPath>Jenkinsfile</scriptPath>", "<script>evil</script><sandbox>true</sandbox>"),
			[]string{"jenkinsfile", "source"}},
		"Unsandboxed": {"a script that may do anything", replace("cps.CpsScmFlowDefinition", "cps.CpsFlowDefinition", "<scriptPath>Jenkinsfile</scriptPath>", "<script></script>"),
			[]string{"source", "sandbox"}},
	} {
		t.Run(name, func(t *testing.T) {
			spec, opts := fromRepository(), Options{Hash: "h1", AuthToken: "derived"}
			was := string(must(Render(spec, opts)))
			doc := tc.change(was)
			if name != "Same" && doc == was {
				t.Fatal("the test changes nothing")
			}
			got, repaired, err := Drift([]byte(doc), spec, opts)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: %s", tc.reason, diff)
			}
			if len(got) == 0 {
				return
			}
			if again, _, err := Drift(repaired, spec, opts); err != nil || len(again) > 0 {
				t.Errorf("the repair leaves %v, %v:\n%s", again, err, repaired)
			}
		})
	}
}

// TestFromTheSpecToARepositoryAndBack: one definition goes for the other as a whole.
func TestFromTheSpecToARepositoryAndBack(t *testing.T) {
	opts := Options{Hash: "h1", AuthToken: "derived"}
	inline := must(Render(minimal(), opts))
	remote := must(Merge(inline, fromRepository(), opts))
	if strings.Contains(string(remote), "<script>") || strings.Contains(string(remote), "<sandbox>") || !strings.Contains(string(remote), "CpsScmFlowDefinition") {
		t.Errorf("to the repository:\n%s", remote)
	}
	back := must(Merge(remote, minimal(), opts))
	if diff := cmp.Diff(string(inline), string(back)); diff != "" {
		t.Errorf("and back: %s", diff)
	}
	kept := strings.Replace(string(remote), "<extensions></extensions>", "<extensions><com.acme.Lfs></com.acme.Lfs></extensions>", 1)
	changed := fromRepository()
	changed.Pipeline.Source.Ref = "dev"
	if got := string(must(Merge([]byte(kept), changed, opts))); !strings.Contains(got, "com.acme.Lfs") || !strings.Contains(got, "refs/heads/dev") || strings.Contains(got, "refs/heads/main") {
		t.Errorf("a change of the branch:\n%s", got)
	}
}
