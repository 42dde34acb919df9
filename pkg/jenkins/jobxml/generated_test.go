// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jobxml

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

// gen makes specs in the form in which they are read back: what has several spellings in the API has one here.
type gen struct{ *rand.Rand }

const alphabet = "abz<>&'\"\n\t é\u0085\u2028\x01\x1b\x7f]]>--${x}%/\\#@😀\uFFFD"

func (g gen) text() string {
	runes := []rune(alphabet)
	var b strings.Builder
	for range g.IntN(12) {
		b.WriteRune(runes[g.IntN(len(runes))])
	}
	return b.String()
}

func (g gen) some() string        { return "x" + g.text() }
func (g gen) line() string        { return "x" + strings.ReplaceAll(g.text(), "\n", "") }
func (g gen) yes() bool           { return g.IntN(2) == 1 }
func (g gen) number() int         { return g.IntN(1000) }
func (g gen) digits(n int) string { return strconv.Itoa(1 + g.IntN(n)) }

func (g gen) spec() *devopsv1alpha3.PipelineSpec {
	if g.yes() {
		return &devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.NoScmPipelineType, Pipeline: g.flow()}
	}
	return &devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.MultiBranchPipelineType, MultiBranchPipeline: g.multi()}
}

func (g gen) discarder() *devopsv1alpha3.DiscarderProperty {
	d := &devopsv1alpha3.DiscarderProperty{}
	if g.yes() {
		d.DaysToKeep = g.digits(999999)
	}
	if g.yes() {
		d.NumToKeep = g.digits(999999)
	}
	if *d == (devopsv1alpha3.DiscarderProperty{}) {
		return nil
	}
	return d
}

func (g gen) flow() *devopsv1alpha3.NoScmPipeline {
	p := &devopsv1alpha3.NoScmPipeline{Description: g.text(), Discarder: g.discarder(), DisableConcurrent: g.yes(), Jenkinsfile: g.text()}
	if g.IntN(4) == 0 {
		light := g.yes()
		p.Jenkinsfile, p.Source = "", &devopsv1alpha3.JenkinsfileSource{URL: g.some(), CredentialID: g.text(), Ref: "b/é<&>" + g.digits(9), ScriptPath: g.some(),
			Lightweight: &light, CloneOption: g.clone()}
	}
	for i := range g.IntN(5) {
		def := devopsv1alpha3.ParameterDefinition{Name: g.some() + strconv.Itoa(i), Description: g.text(), Type: []string{"string", "text", "boolean", "choice", "file", "password"}[g.IntN(6)]}
		switch def.Type {
		case "string":
			def.DefaultValue, def.Trim = g.text(), g.yes()
		case "boolean":
			def.DefaultValue = strconv.FormatBool(g.yes())
		case "choice":
			def.DefaultValue = strings.Join([]string{g.line(), g.line()}[:1+g.IntN(2)], "\n")
		case "file":
		default:
			def.DefaultValue = g.text()
		}
		p.Parameters = append(p.Parameters, def)
	}
	if g.yes() {
		p.TimerTrigger = &devopsv1alpha3.TimerTrigger{Cron: g.some()}
	}
	if g.yes() {
		p.GenericWebhook = &devopsv1alpha3.GenericWebhook{
			Enable: true, Token: g.text(), Cause: g.text(), PrintVariables: g.yes(), PrintPostContent: g.yes(),
			RequestVariables: g.variables(), HeaderVariables: g.variables(), FilterText: g.text(), FilterExpression: g.text(),
		}
	}
	return p
}

func (g gen) variables() (list []devopsv1alpha3.GenericVariable) {
	for range g.IntN(3) {
		list = append(list, devopsv1alpha3.GenericVariable{Key: g.text(), RegexpFilter: g.text()})
	}
	return list
}

func (g gen) clone() *devopsv1alpha3.GitCloneOption {
	if g.yes() {
		return nil
	}
	return &devopsv1alpha3.GitCloneOption{Shallow: g.yes(), Timeout: g.number(), Depth: g.number()}
}

func (g gen) hosted(kind string) devopsv1alpha3.HostedSource {
	s := devopsv1alpha3.HostedSource{
		ScmID: g.some(), Owner: g.some(), Repo: g.some(), CredentialID: g.text(), DiscoverBranches: g.IntN(4), DiscoverPRFromOrigin: g.IntN(4),
		DiscoverTags: g.yes(), CloneOption: g.clone(), RegexFilter: g.text(), AcceptJenkinsNotification: g.yes(),
	}
	if kind != sourceGitLab {
		s.APIURI = g.text() // GitLab's belongs to the server in Jenkins' configuration
	}
	if g.yes() {
		s.DiscoverPRFromForks = &devopsv1alpha3.DiscoverPRFromForks{Strategy: 1 + g.IntN(3), Trust: []int{1, 2, 4}[g.IntN(3)]}
	}
	return s
}

func (g gen) multi() *devopsv1alpha3.MultiBranchPipeline {
	p := &devopsv1alpha3.MultiBranchPipeline{Description: g.text(), Discarder: g.discarder(), ScriptPath: g.some()}
	if g.yes() {
		p.TimerTrigger = &devopsv1alpha3.TimerTrigger{Interval: g.digits(1 << 40)}
	}
	if g.yes() {
		p.MultiBranchJobTrigger = &devopsv1alpha3.MultiBranchJobTrigger{CreateActionJobsToTrigger: g.some(), DeleteActionJobsToTrigger: g.text()}
	}
	p.SourceType = []string{sourceGit, sourceGitHub, sourceGitLab, sourceBitbucket, sourceSvn, sourceSingleSvn}[g.IntN(6)]
	switch p.SourceType {
	case sourceGit:
		p.GitSource = &devopsv1alpha3.GitSource{ScmID: g.some(), URL: g.some(), CredentialID: g.text(), DiscoverBranches: g.yes(), DiscoverTags: g.yes(),
			CloneOption: g.clone(), RegexFilter: g.text()}
	case sourceGitHub:
		p.GitHubSource = &devopsv1alpha3.GitHubSource{HostedSource: g.hosted(p.SourceType)}
	case sourceGitLab:
		p.GitlabSource = &devopsv1alpha3.GitlabSource{HostedSource: g.hosted(p.SourceType), ServerName: g.text()}
	case sourceBitbucket:
		p.BitbucketServerSource = &devopsv1alpha3.BitbucketServerSource{HostedSource: g.hosted(p.SourceType)}
	case sourceSvn:
		p.SvnSource = &devopsv1alpha3.SvnSource{ScmID: g.some(), Remote: g.some(), CredentialID: g.text(), Includes: g.text(), Excludes: g.text()}
	case sourceSingleSvn:
		p.SingleSvnSource = &devopsv1alpha3.SingleSvnSource{ScmID: g.some(), Remote: g.some(), CredentialID: g.text()}
	}
	return p
}

// checkRoundTrip reads a rendered spec back, merges it into the job of another, and looks for drift where none can be.
func checkRoundTrip(t *testing.T, seed uint64) {
	t.Helper()
	g := gen{rand.New(rand.NewPCG(seed, 1))}
	spec, other := g.spec(), g.spec()
	opts := Options{Hash: "h", AuthToken: "token"}
	doc, err := Render(spec, opts)
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	parsed, err := Parse(doc)
	if err != nil {
		t.Fatalf("seed %d: %v\n%s", seed, err, doc)
	}
	if diff := cmp.Diff(spec, &parsed.Spec); diff != "" {
		t.Fatalf("seed %d: not read back: %s", seed, diff)
	}
	if fields, _, err := Drift(doc, spec, opts); err != nil || len(fields) > 0 {
		t.Fatalf("seed %d: drift %v, %v", seed, fields, err)
	}
	if other.Type != spec.Type {
		return
	}
	merged, err := Merge(must(Render(other, opts)), spec, opts)
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	if parsed, err = Parse(merged); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	if diff := cmp.Diff(spec, &parsed.Spec); diff != "" {
		t.Fatalf("seed %d: something of the former job stays: %s", seed, diff)
	}
}

func TestGeneratedSpecsSurvive(t *testing.T) {
	for seed := range uint64(1500) {
		checkRoundTrip(t, seed)
	}
}

func FuzzGeneratedSpecs(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(checkRoundTrip)
}

// FuzzForeignDocument: whatever Jenkins sends, it is read or refused.
func FuzzForeignDocument(f *testing.F) {
	f.Add([]byte("<flow-definition><properties/></flow-definition>"))
	f.Add(must(Render(full(), Options{})))
	f.Add(must(Render(multi(), Options{})))
	f.Add([]byte("<project/>"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		_, _ = Parse(doc)
		for _, spec := range []*devopsv1alpha3.PipelineSpec{minimal(), multi()} {
			got, err := Merge(doc, spec, Options{AuthToken: "t"})
			if err != nil {
				continue
			}
			if _, err := Parse(got); err != nil {
				t.Fatalf("%q was merged into what cannot be read: %v", doc, err)
			}
			_, _, _ = Drift(doc, spec, Options{AuthToken: "t"})
		}
	})
}
