// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"fmt"
	"html"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/jenkins/jobxml"
)

// cases are all promises.
func cases() []testCase {
	return slices.Concat(serverCases, itemCases, startCases, runCases, logCases, otherCases)
}

var serverCases = []testCase{
	{name: "server/who am I", run: func(e *env) {
		t := e.t
		who, err := e.WhoAmI(t.Context())
		must(t, err)
		if who.Anonymous || who.Name != e.target.config.Username {
			t.Errorf("%+v, want %s", who, e.target.config.Username)
		}
	}},
	{name: "server/plugins", needs: []capability{pluginList}, run: func(e *env) {
		t := e.t
		plugins, err := e.Plugins(t.Context())
		must(t, err)
		for _, name := range []string{"workflow-job", "workflow-cps", "pipeline-model-definition", "cloudbees-folder", "blueocean-rest-impl", "blueocean-pipeline-api-impl"} {
			if plugins[name] == "" {
				t.Errorf("the plugin %s is missing", name)
			}
		}
	}},
	{name: "server/a wrong token", run: func(e *env) {
		t := e.t
		cfg := e.target.config
		cfg.Token = "wrong"
		c, err := jenkins.New(cfg)
		must(t, err)
		defer c.CloseIdleConnections()
		is(t, "Ping", c.Ping(t.Context()), jenkins.ErrUnauthorized)
	}},
	{name: "server/password and crumb", needs: []capability{aPassword}, run: func(e *env) {
		t := e.t
		cfg := e.target.config
		cfg.Token, cfg.Password = "", e.target.password
		c, err := jenkins.New(cfg)
		must(t, err)
		defer c.CloseIdleConnections()
		must(t, c.EnsureFolder(t.Context(), e.dir+"/byPassword"))
		must(t, c.DeleteFolder(t.Context(), e.dir+"/byPassword"))
	}},
	{name: "server/quiet state", run: func(e *env) {
		t := e.t
		state, err := e.QuietState(t.Context())
		must(t, err)
		if state.Quiet {
			t.Errorf("Jenkins prepares for a shutdown: %+v", state)
		}
	}},
	{name: "server/labels and nodes", run: func(e *env) {
		t := e.t
		_, err := e.Labels(t.Context())
		must(t, err)
		_, err = e.Computers(t.Context())
		must(t, err)
		there, err := e.LabelExists(t.Context(), "no-such-label-"+e.folder)
		if there || err != nil {
			t.Errorf("LabelExists of an unknown label = %t, %v", there, err)
		}
	}},
}

// config is a config.xml that holds what no plugin knows, and what XML 1.0 cannot.
const config = `<?xml version='1.1' encoding='UTF-8'?>
<flow-definition plugin="workflow-job">
  <description>größe &amp; &lt;b&gt;</description>
  <keepDependencies>false</keepDependencies>
  <properties/>
  <definition class="org.jenkinsci.plugins.workflow.cps.CpsFlowDefinition" plugin="workflow-cps">
    <script>echo &apos;a&#x1;b ü&apos;</script>
    <sandbox>true</sandbox>
  </definition>
  <triggers/>
  <slipwayUnknown>kept</slipwayUnknown>
  <disabled>false</disabled>
</flow-definition>`

var itemCases = []testCase{
	{name: "folder/life", run: func(e *env) {
		t := e.t
		ctx, name := t.Context(), e.dir+"/a b"
		_, err := e.GetFolder(ctx, name)
		is(t, "GetFolder before", err, jenkins.ErrNotFound)
		for range 2 {
			must(t, e.EnsureFolder(ctx, name))
		}
		folder, err := e.GetFolder(ctx, name)
		must(t, err)
		if folder.Name != "a b" || folder.FullName != name {
			t.Errorf("%+v", folder)
		}
		must(t, e.DescribeFolder(ctx, name, "größe <b>&"))
		if folder, err = e.GetFolder(ctx, name); err != nil || folder.Description != "größe <b>&" {
			t.Errorf("description %q, %v", folder.Description, err)
		}
		is(t, "CreateFolder again", e.CreateFolder(ctx, name, ""), jenkins.ErrConflict)
		is(t, "a folder in no folder", e.EnsureFolder(ctx, e.dir+"/nosuch/x"), jenkins.ErrNotFound)
		for range 2 {
			must(t, e.DeleteFolder(ctx, name))
		}
		_, err = e.GetFolder(ctx, name)
		is(t, "GetFolder after", err, jenkins.ErrNotFound)
	}},
	{name: "folder/a job in its place", run: func(e *env) {
		t := e.t
		e.job(t, "taken", steps("echo 'x'"))
		is(t, "EnsureFolder", e.EnsureFolder(t.Context(), e.dir+"/taken"), jenkins.ErrConflict)
	}},
	{name: "folder/what is in it goes with it", run: func(e *env) {
		t := e.t
		ctx := t.Context()
		must(t, e.EnsureFolder(ctx, e.dir+"/f"))
		inner := *e
		inner.dir = e.dir + "/f"
		inner.job(t, "j", steps("echo 'x'"))
		must(t, e.DeleteFolder(ctx, e.dir+"/f"))
		_, err := e.GetJobConfig(ctx, e.dir+"/f", "j")
		is(t, "the job in it", err, jenkins.ErrNotFound)
	}},
	{name: "names", run: func(e *env) {
		t := e.t
		for name, kind := range map[string]error{
			"plain": nil, "a b": nil, "größe": nil, "日本語": nil, "a+b": nil, "a=b": nil, "a,b": nil, "a'b": nil, "ümlaut ö ß": nil, strings.Repeat("n", 60): nil,
			"a%2Fb": jenkins.ErrInvalid, "a?b": jenkins.ErrInvalid, "a*b": jenkins.ErrInvalid, "a:b": jenkins.ErrInvalid, "a|b": jenkins.ErrInvalid, "a<b": jenkins.ErrInvalid,
		} {
			err := e.PutJob(t.Context(), e.dir, name, []byte(config))
			is(t, fmt.Sprintf("PutJob(%q)", name), err, kind)
			if kind != nil || err != nil {
				continue
			}
			if doc, err := e.GetJobConfig(t.Context(), e.dir, name); err != nil || len(doc) == 0 {
				t.Errorf("GetJobConfig(%q) = %d bytes, %v", name, len(doc), err)
			}
			info, err := e.GetPipeline(t.Context(), e.dir, name)
			if err != nil || info.Name != name {
				t.Errorf("GetPipeline(%q) = %+v, %v", name, info, err)
			}
		}
		jobs, err := e.ListJobs(t.Context(), e.dir)
		if err != nil || len(jobs) != 10 {
			t.Errorf("ListJobs = %d entries, %v", len(jobs), err)
		}
	}},
	{name: "job/config round trip", run: func(e *env) {
		t := e.t
		ctx := t.Context()
		is(t, "GetJobConfig before", func() error { _, err := e.GetJobConfig(ctx, e.dir, "j"); return err }(), jenkins.ErrNotFound)
		for _, description := range []string{"größe & <b>", "other"} {
			doc := strings.Replace(config, "größe &amp; &lt;b&gt;", html.EscapeString(description), 1)
			must(t, e.PutJob(ctx, e.dir, "j", []byte(doc)))
			got, err := e.GetJobConfig(ctx, e.dir, "j")
			must(t, err)
			// Jenkins may write the same XML in other words.
			parsed, err := jobxml.Parse(got)
			must(t, err)
			if p := parsed.Spec.Pipeline; p == nil || p.Description != description || p.Jenkinsfile != "echo 'a\x01b ü'" {
				t.Errorf("%+v in %s", p, got)
			}
			if !strings.Contains(string(got), "<slipwayUnknown>kept</slipwayUnknown>") {
				t.Errorf("the unknown element is gone: %s", got)
			}
		}
		is(t, "in no folder", e.PutJob(ctx, e.dir+"/nosuch", "j", []byte(config)), jenkins.ErrNotFound)
		is(t, "broken XML", e.PutJob(ctx, e.dir, "broken", []byte("<flow-definition>")), jenkins.ErrInternal)
		for range 2 {
			must(t, e.DeleteJob(ctx, e.dir, "j"))
		}
		is(t, "GetJobConfig after", func() error { _, err := e.GetJobConfig(ctx, e.dir, "j"); return err }(), jenkins.ErrNotFound)
	}},
	{name: "job/what the product writes is what it reads", run: func(e *env) {
		t := e.t
		j := e.job(t, "own", steps("echo 'ü <&>'"), oneAtATime)
		doc, err := e.GetJobConfig(t.Context(), e.dir, j.name)
		must(t, err)
		parsed, err := jobxml.Parse(doc)
		must(t, err)
		if spec := parsed.Spec; spec.Pipeline == nil || spec.Pipeline.Jenkinsfile != steps("echo 'ü <&>'") || !spec.Pipeline.DisableConcurrent {
			t.Errorf("%+v", parsed.Spec.Pipeline)
		}
	}},
	{name: "search", needs: []capability{search}, run: func(e *env) {
		t := e.t
		e.job(t, "first-Needle", steps("echo 'x'"))
		e.job(t, "other", steps("echo 'x'"))
		until(t, "the search finds the job", func() (bool, error) {
			found, err := e.SearchPipelines(t.Context(), e.dir, "needle", jenkins.Page{})
			return len(found) == 1 && found[0].FullName == e.dir+"/first-Needle", err
		})
		all, err := e.ListPipelines(t.Context(), e.dir, jenkins.Page{Limit: 10})
		if err != nil || len(all) != 2 {
			t.Errorf("ListPipelines = %d entries, %v", len(all), err)
		}
	}},
}

var otherCases = []testCase{
	{name: "credentials", needs: []capability{credentials}, run: func(e *env) {
		t := e.t
		credentialLife(t, e, map[string]jenkins.Credential{
			"basic": jenkins.UsernamePassword{Username: "u ü", Password: "hunter2-ü&="},
			"text":  jenkins.SecretText{Secret: "hunter2-text"},
			"ssh":   jenkins.SSHKey{Username: "git", PrivateKey: "-----BEGIN KEY-----\nhunter2\n-----END KEY-----\n", Passphrase: "hunter2-phrase"},
		})
	}},
	{name: "credentials/kubeconfig", needs: []capability{credentials, kubeconfigs}, run: func(e *env) {
		t := e.t
		credentialLife(t, e, map[string]jenkins.Credential{"kube": jenkins.Kubeconfig{Content: "apiVersion: v1\nkind: Config # hunter2\n"}})
	}},
	{name: "checks/script", needs: []capability{scriptChecks}, run: func(e *env) {
		t := e.t
		good, err := e.CheckScript(t.Context(), e.dir, "", steps("echo 'x'"))
		if err != nil || len(good) != 0 {
			t.Errorf("a good script: %v, %v", good, err)
		}
		bad, err := e.CheckScript(t.Context(), e.dir, "", "pipeline {\n  echo (\n}")
		if err != nil || len(bad) == 0 || bad[0].Line < 2 || bad[0].Message == "" {
			t.Errorf("a bad script: %+v, %v", bad, err)
		}
	}},
	{name: "checks/cron", needs: []capability{cronChecks}, run: func(e *env) {
		t := e.t
		for spec, want := range map[string]string{"H H * * *": jenkins.CheckOK, "*/5 * * * *": jenkins.CheckWarning, "99 * * * *": jenkins.CheckError, "x": jenkins.CheckError} {
			got, err := e.CheckCron(t.Context(), e.dir, "", spec)
			if err != nil || got.Result != want || got.Message == "" {
				t.Errorf("%q: %+v, %v; want %s", spec, got, err, want)
			}
		}
		got, err := e.CheckCron(t.Context(), e.dir, "", "H H * * *")
		if err != nil || !got.Next.After(time.Now().Add(-25*time.Hour)) {
			t.Errorf("next = %v, %v", got, err)
		}
	}},
	{name: "checks/job name", run: func(e *env) {
		t := e.t
		e.job(t, "taken", steps("echo 'x'"))
		for name, free := range map[string]bool{"free": true, "taken": false, "a?b": false} {
			problem, err := e.CheckJobName(t.Context(), e.dir, name)
			if err != nil || (problem == "") != free {
				t.Errorf("%q: %q, %v", name, problem, err)
			}
		}
	}},
	{name: "agent templates", needs: []capability{aCloud}, run: func(e *env) {
		t := e.t
		ctx := t.Context()
		id := strings.ReplaceAll(e.dir, "/", "-")
		tpl := jenkins.Template{ID: id, Labels: []string{id, id + "-0123456789"}, AgentContainer: "dev",
			YAML: "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: dev\n    image: example.invalid/none:1 # ü <&>\n    workingDir: /home/jenkins/agent\n"}
		defer func() {
			if err := e.DeleteTemplate(ctx, e.target.cloud, id); err != nil {
				t.Errorf("the template %s is left behind: %v", id, err)
			}
		}()
		for range 2 { // the second time it is an update
			must(t, e.EnsureTemplate(ctx, e.target.cloud, tpl))
			for _, label := range tpl.Labels {
				if there, err := e.LabelExists(ctx, label); err != nil || !there {
					t.Errorf("LabelExists(%s) = %t, %v", label, there, err)
				}
			}
		}
		for range 2 {
			must(t, e.DeleteTemplate(ctx, e.target.cloud, id))
		}
		if there, err := e.LabelExists(ctx, id); err != nil || there {
			t.Errorf("after the deletion: %t, %v", there, err)
		}
		is(t, "in no cloud", e.EnsureTemplate(ctx, "no-such-cloud", tpl), jenkins.ErrNotFound)
	}},
}

// credentialLife makes, changes and removes entries. What Jenkins says of them must never hold a secret.
func credentialLife(t *testing.T, e *env, kinds map[string]jenkins.Credential) {
	t.Helper()
	ctx := t.Context()
	for id, content := range kinds {
		entry := jenkins.CredentialEntry{ID: id, Description: "größe <b>&", Credential: content}
		is(t, id+": update before", e.UpdateCredential(ctx, e.dir, entry), jenkins.ErrNotFound)
		must(t, e.CreateCredential(ctx, e.dir, entry))
		is(t, id+": again", e.CreateCredential(ctx, e.dir, entry), jenkins.ErrConflict)
		entry.Description = "changed"
		must(t, e.PutCredential(ctx, e.dir, entry))
		info, err := e.GetCredential(ctx, e.dir, id)
		must(t, err)
		if info.ID != id || info.Description != "changed" || info.TypeName == "" || strings.Contains(fmt.Sprintf("%+v", info), "hunter2") {
			t.Errorf("%s: %+v", id, info)
		}
	}
	list, err := e.ListCredentials(ctx, e.dir)
	if err != nil || len(list) != len(kinds) {
		t.Errorf("%d entries, want %d: %v", len(list), len(kinds), err)
	}
	for id := range kinds {
		for range 2 {
			must(t, e.DeleteCredential(ctx, e.dir, id))
		}
		_, err := e.GetCredential(ctx, e.dir, id)
		is(t, id+": after the deletion", err, jenkins.ErrNotFound)
	}
	is(t, "in no folder", e.CreateCredential(ctx, e.dir+"/nosuch", jenkins.CredentialEntry{ID: "x", Credential: jenkins.SecretText{Secret: "s"}}), jenkins.ErrNotFound)
}

// awkward are values that must come through unchanged.
func awkward() map[string]string {
	return map[string]string{"PLAIN": "x", "SPACES": "  a b ", "SIGNS": `&=+%"'<>#?/\`, "UNICODE": "größe 日本語 🚢", "LINES": "one\ntwo", "EMPTY": "", "QUERY": url.Values{"a": {"b c"}}.Encode()}
}
