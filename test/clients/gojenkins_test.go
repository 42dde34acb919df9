// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package clients

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bndr/gojenkins" //nolint:depguard // the library is what is tested
)

const (
	goFolderXML = "<com.cloudbees.hudson.plugins.folder.Folder><properties/></com.cloudbees.hudson.plugins.folder.Folder>"
	goJobXML    = `<?xml version='1.1' encoding='UTF-8'?>
<flow-definition>
  <description>first</description>
  <properties>
    <hudson.model.ParametersDefinitionProperty><parameterDefinitions><hudson.model.StringParameterDefinition>
      <name>WHO</name><defaultValue>nobody</defaultValue>
    </hudson.model.StringParameterDefinition></parameterDefinitions></hudson.model.ParametersDefinitionProperty>
  </properties>
  <definition class="org.jenkinsci.plugins.workflow.cps.CpsFlowDefinition">
    <script>pipeline { agent any
  stages {
    stage('greet') { steps { sh 'echo "hello $WHO"; mkdir -p out; echo content &gt; out/greeting.txt' } }
    stage('keep') { steps {
      archiveArtifacts artifacts: 'out/*', fingerprint: true
      writeFile file: 'r.xml', text: '&lt;testsuite name="s"&gt;&lt;testcase classname="c" name="good"/&gt;&lt;/testsuite&gt;'
      junit 'r.xml'
    } }
  }
}</script>
    <sandbox>true</sandbox>
  </definition>
  <authToken>start-me</authToken>
</flow-definition>`
	goSlowXML  = `<flow-definition><definition class="org.jenkinsci.plugins.workflow.cps.CpsFlowDefinition"><script>node { stage('wait') { sh 'sleep 60' } }</script></definition></flow-definition>`
	goInputXML = `<flow-definition><definition class="org.jenkinsci.plugins.workflow.cps.CpsFlowDefinition"><script>pipeline { agent none
  stages { stage('ask') { steps { input 'go on?' } } } }</script></definition></flow-definition>`
	goFreeXML = "<project><builders/></project>"
)

// calls keeps what came of each call, for the table.
type calls struct {
	t    *testing.T
	rows []string
}

func (c *calls) row(call, outcome string) {
	c.rows = append(c.rows, fmt.Sprintf("| %s | %s |", call, outcome))
}

// ok records a call that must work.
func (c *calls) ok(call string, err error, good bool) {
	c.t.Helper()
	if err != nil || !good {
		c.row(call, fmt.Sprintf("FAILED: %v", err))
		c.t.Errorf("%s: error %v, as expected %v", call, err, good)
		return
	}
	c.row(call, "ok")
}

// note records a call whose outcome is that of the library on any Jenkins of today, and is explained.
func (c *calls) note(call, why string, good bool) {
	c.t.Helper()
	c.row(call, why)
	if !good {
		c.t.Errorf("%s is no longer so: %s", call, why)
	}
}

// refused records a call that must fail with a reason.
func (c *calls) refused(call string, err error, says string) {
	c.t.Helper()
	if err == nil || !strings.Contains(err.Error(), says) {
		c.row(call, fmt.Sprintf("NOT REFUSED: %v", err))
		c.t.Errorf("%s: error %v, want one with %q", call, err, says)
		return
	}
	c.row(call, "refused: "+strings.TrimSpace(err.Error()))
}

// TestGojenkins calls what the library offers, apart from what only prints.
func TestGojenkins(t *testing.T) {
	address := start(t)
	c := &calls{t: t}
	for _, part := range []struct {
		name string
		run  func(context.Context, *calls, *gojenkins.Jenkins)
	}{
		{"server", goServer}, {"jobs", goJobs}, {"builds", goBuilds}, {"pipelines", goPipelines}, {"nodes", goNodes}, {"views", goViews},
		{"credentials", goCredentials}, {"tokens", goTokens},
	} {
		j, err := gojenkins.CreateJenkins(&http.Client{Timeout: time.Minute}, address, testUser, testPassword).Init(t.Context())
		if err != nil {
			t.Fatalf("%s: Init: %v", part.name, err)
		}
		part.run(t.Context(), c, j)
	}
	t.Log("\n| call of gojenkins | outcome |\n|---|---|\n" + strings.Join(c.rows, "\n"))
}

func goServer(ctx context.Context, c *calls, j *gojenkins.Jenkins) {
	c.ok("Init", nil, strings.HasPrefix(j.Version, "2."))
	info, err := j.Info(ctx)
	c.ok("Info", err, err == nil && info.Mode == "NORMAL" && info.UseCrumbs)
	status, err := j.Poll(ctx)
	c.ok("Poll", err, status == http.StatusOK)
	plugins, err := j.GetPlugins(ctx, 2)
	c.ok("GetPlugins", err, err == nil && plugins.Count() > 5 && plugins.Contains("workflow-job") != nil)
	has, err := j.HasPlugin(ctx, "cloudbees-folder")
	c.ok("HasPlugin", err, has != nil && has.Active)
	c.refused("InstallPlugin", j.InstallPlugin(ctx, "ant", "1.0"), "403")
	c.refused("UninstallPlugin", j.UninstallPlugin(ctx, "ant"), "403")
	c.refused("SafeRestart", j.SafeRestart(ctx), "over HTTP")
	_, err = j.CreateUser(ctx, "bob", "x", "Bob", "b@example.com")
	c.refused("CreateUser", err, "no users to make")
	c.refused("DeleteUser", j.DeleteUser(ctx, testUser), "no users to remove")
	label, err := j.GetLabel(ctx, "built-in")
	c.ok("GetLabel", err, err == nil && label.GetName() == "built-in" && len(label.GetNodes()) == 1)
}

func goJobs(ctx context.Context, c *calls, j *gojenkins.Jenkins) {
	folder, err := j.CreateFolder(ctx, "team")
	c.ok("CreateFolder", err, err == nil && folder.GetName() == "team")
	inner, err := j.CreateFolder(ctx, "inner", "team")
	c.ok("CreateFolder below", err, err == nil && inner.GetName() == "inner")
	_, err = j.GetFolder(ctx, "inner", "team")
	c.ok("GetFolder", err, true)
	job, err := j.CreateJob(ctx, goJobXML, "app")
	c.ok("CreateJob", err, err == nil && job.GetName() == "app" && job.GetDescription() == "first")
	_, err = j.CreateJobInFolder(ctx, goJobXML, "deep", "team", "inner")
	c.ok("CreateJobInFolder", err, true)
	_, err = j.CreateJob(ctx, goFreeXML, "free")
	c.refused("CreateJob of a freestyle project", err, "Freestyle project")
	_, err = j.CreateJob(ctx, goJobXML, "app")
	c.note("CreateJob of a name that is taken", "refused; Jenkins' message has quotation marks that its header cannot carry, and the library does not read the page", err != nil)
	_, err = j.GetJob(ctx, "deep", "team", "inner")
	c.ok("GetJob", err, true)
	sub, err := j.GetSubJob(ctx, "team", "inner")
	c.ok("GetSubJob", err, err == nil && len(sub.GetInnerJobsMetadata()) == 1)
	inners, err := sub.GetInnerJobs(ctx)
	c.note("GetInnerJobs below a folder", "looks for the jobs at the top, on every Jenkins", err != nil || len(inners) == 1)
	names, err := j.GetAllJobNames(ctx)
	c.ok("GetAllJobNames", err, len(names) == 2)
	all, err := j.GetAllJobs(ctx)
	c.ok("GetAllJobs", err, len(all) == 2)

	config, err := job.GetConfig(ctx)
	c.ok("GetConfig", err, config == goJobXML)
	err = job.UpdateConfig(ctx, strings.ReplaceAll(goJobXML, "first", "second"))
	c.ok("UpdateConfig", err, job.GetDescription() == "second")
	c.ok("UpdateJob", nil, j.UpdateJob(ctx, "app", goJobXML) != nil)
	copied, err := job.Copy(ctx, "copy")
	c.ok("Copy", err, err == nil && copied.GetName() == "copy")
	again, err := j.CopyJob(ctx, "app", "copy2")
	c.ok("CopyJob", err, err == nil && again.GetName() == "copy2")
	renamed, err := copied.Rename(ctx, "renamed")
	c.ok("Rename", err, renamed)
	c.ok("RenameJob", nil, j.RenameJob(ctx, "copy2", "renamed2") != nil)
	other, err := j.GetJob(ctx, "renamed2")
	c.ok("GetJob after the renaming", err, err == nil)
	done, err := other.Disable(ctx)
	c.ok("Disable", err, done)
	enabled, err := other.IsEnabled(ctx)
	c.ok("IsEnabled", err, !enabled)
	done, err = other.Enable(ctx)
	c.ok("Enable", err, done)
	params, err := other.GetParameters(ctx)
	c.ok("GetParameters", err, len(params) == 1 && params[0].Name == "WHO")
	done, err = other.Delete(ctx)
	c.ok("Delete", err, done)
	done, err = j.DeleteJob(ctx, "renamed")
	c.ok("DeleteJob", err, done)
	history, err := job.History(ctx)
	c.note("History", "reads a page that no Jenkins of today has: empty", err == nil && len(history) == 0)
}

// goEnds waits until a build has ended.
func goEnds(ctx context.Context, c *calls, b *gojenkins.Build) {
	c.t.Helper()
	for end := time.Now().Add(2 * time.Minute); b.IsRunning(ctx); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatal("the build does not end")
		}
	}
}

func goBuilds(ctx context.Context, c *calls, j *gojenkins.Jenkins) {
	job, err := j.GetJob(ctx, "app")
	c.ok("GetJob", err, err == nil)
	id, err := j.BuildJob(ctx, "app", map[string]string{"WHO": "world & more"})
	c.ok("BuildJob", err, id > 0)
	b, err := j.GetBuildFromQueueID(ctx, job, id)
	c.ok("GetBuildFromQueueID", err, err == nil && b.GetBuildNumber() == 1)
	goEnds(ctx, c, b)
	c.ok("IsRunning, IsGood, GetResult", nil, b.IsGood(ctx) && b.GetResult() == "SUCCESS")
	c.ok("GetConsoleOutput", nil, strings.Contains(b.GetConsoleOutput(ctx), "hello world & more"))
	var log strings.Builder
	for from, more := int64(0), true; more; {
		part, err := b.GetConsoleOutputFromIndex(ctx, from)
		if err != nil {
			c.t.Fatal(err)
		}
		log.WriteString(part.Content)
		from, more = part.Offset, part.HasMoreText
	}
	c.ok("GetConsoleOutputFromIndex", nil, strings.Contains(log.String(), "hello world & more") && strings.Contains(log.String(), "Finished: SUCCESS"))
	causes, err := b.GetCauses(ctx)
	c.ok("GetCauses", err, len(causes) == 1 && causes[0]["userId"] == testUser)
	c.ok("GetParameters of a build", nil, len(b.GetParameters()) == 1 && b.GetParameters()[0].Value == "world & more")
	c.ok("GetUrl, GetTimestamp, GetDuration", nil, strings.HasSuffix(b.GetUrl(), "/job/app/1/") && time.Since(b.GetTimestamp()) < time.Minute && b.GetDuration() > 0)
	files := b.GetArtifacts()
	c.ok("GetArtifacts", nil, len(files) == 1 && files[0].FileName == "greeting.txt")
	data, err := files[0].GetData(ctx)
	c.ok("GetData", err, string(data) == "content\n")
	saved, err := files[0].SaveToDir(ctx, c.t.TempDir())
	c.ok("SaveToDir, with the fingerprint checked", err, saved)
	tests, err := b.GetResultSet(ctx)
	c.ok("GetResultSet", err, err == nil && tests.PassCount == 1)
	c.ok("SetDescription", b.SetDescription(ctx, "about it"), true)
	_, err = b.Poll(ctx)
	c.ok("Poll of a build", err, b.Info().Description == "about it")
	_, err = b.GetInjectedEnvVars(ctx)
	c.note("GetInjectedEnvVars", "of a plugin for freestyle projects: not found", err != nil)
	_, err = b.GetUpstreamJob(ctx)
	c.refused("GetUpstreamJob", err, "unable to get an upstream job")
	runs, err := b.GetMatrixRuns(ctx)
	c.ok("GetMatrixRuns", err, len(runs) == 0)

	good, err := job.Invoke(ctx, []string{}, false, map[string]string{"WHO": "form"}, "", "start-me")
	c.ok("Invoke", err, good)
	ids, err := job.GetAllBuildIds(ctx)
	for end := time.Now().Add(2 * time.Minute); len(ids) < 2 && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		ids, err = job.GetAllBuildIds(ctx)
	}
	c.ok("GetAllBuildIds", err, len(ids) == 2)
	_, err = job.Poll(ctx)
	c.ok("Poll of a job", err, true)
	last, err := job.GetLastBuild(ctx)
	c.ok("GetLastBuild", err, err == nil && last.GetBuildNumber() == 2)
	goEnds(ctx, c, last)
	_, err = job.Poll(ctx)
	c.ok("Poll of a job", err, true)
	for name, get := range map[string]func(context.Context) (*gojenkins.Build, error){"GetFirstBuild": job.GetFirstBuild,
		"GetLastSuccessfulBuild": job.GetLastSuccessfulBuild, "GetLastStableBuild": job.GetLastStableBuild, "GetLastCompletedBuild": job.GetLastCompletedBuild} {
		b, err := get(ctx)
		c.ok(name, err, err == nil && b.GetBuildNumber() >= 1)
	}
	goQueue(ctx, c, j)
}

func goQueue(ctx context.Context, c *calls, j *gojenkins.Jenkins) {
	slow, err := j.CreateJob(ctx, goSlowXML, "slow")
	c.ok("CreateJob", err, err == nil)
	id, err := slow.InvokeSimple(ctx, nil)
	c.ok("InvokeSimple", err, id > 0)
	b, err := j.GetBuildFromQueueID(ctx, slow, id)
	c.ok("GetBuildFromQueueID", err, err == nil && b.IsRunning(ctx))
	running, err := slow.IsRunning(ctx)
	c.ok("IsRunning of a job", err, running)
	queued, err := slow.HasQueuedBuild(ctx)
	c.ok("HasQueuedBuild", err, !queued)
	nodes, err := j.GetAllNodes(ctx)
	c.ok("GetAllNodes", err, len(nodes) >= 1)
	stopped, err := b.Stop(ctx)
	c.ok("Stop", err, stopped)
	goEnds(ctx, c, b)
	c.ok("GetResult after Stop", nil, b.GetResult() == "ABORTED")

	if _, err := j.Requester.Post(ctx, "/quietDown", nil, nil, nil); err != nil {
		c.t.Fatal(err)
	}
	id, err = slow.InvokeSimple(ctx, nil)
	c.ok("InvokeSimple while quiet", err, id > 0)
	queue, err := j.GetQueue(ctx)
	c.ok("GetQueue", err, err == nil && len(queue.Tasks()) == 1 && queue.GetTaskById(id) != nil && len(queue.GetTasksForJob("slow")) == 1)
	task := queue.GetTaskById(id)
	c.ok("GetWhy", nil, task.GetWhy() != "")
	of, err := task.GetJob(ctx)
	c.ok("GetJob of a task", err, err == nil && of.GetName() == "slow")
	_, err = queue.CancelTask(ctx, id)
	c.ok("CancelTask", err, true)
	_, err = queue.Poll(ctx)
	c.ok("Poll of a queue", err, err == nil && len(queue.Tasks()) == 0)
	if _, err := j.Requester.Post(ctx, "/cancelQuietDown", nil, nil, nil); err != nil {
		c.t.Fatal(err)
	}
}

func goPipelines(ctx context.Context, c *calls, j *gojenkins.Jenkins) {
	job, err := j.GetJob(ctx, "app")
	c.ok("GetJob", err, err == nil)
	runs, err := job.GetPipelineRuns(ctx)
	c.ok("GetPipelineRuns", err, len(runs) == 2)
	run, err := job.GetPipelineRun(ctx, "1")
	c.ok("GetPipelineRun", err, err == nil && run.Status == "SUCCESS" && len(run.Stages) == 2 && run.Stages[0].Name == "greet")
	node, err := run.GetNode(ctx, run.Stages[0].ID)
	c.note("GetNode", "reads the stage, but not parentNodes, which Jenkins writes as texts and the library wants as numbers",
		err != nil && strings.Contains(err.Error(), "ParentNodes") && node == nil)
	ask, err := j.CreateJob(ctx, goInputXML, "ask")
	c.ok("CreateJob", err, err == nil)
	for n, answer := range []struct {
		name, result string
		give         func(*gojenkins.PipelineRun) (bool, error)
	}{
		{"ProceedInput", "SUCCESS", func(r *gojenkins.PipelineRun) (bool, error) { return r.ProceedInput(ctx) }},
		{"AbortInput", "ABORTED", func(r *gojenkins.PipelineRun) (bool, error) { return r.AbortInput(ctx) }},
	} {
		id, err := ask.InvokeSimple(ctx, nil)
		c.ok("InvokeSimple", err, id > 0)
		b, err := j.GetBuildFromQueueID(ctx, ask, id)
		c.ok("GetBuildFromQueueID", err, err == nil)
		var run *gojenkins.PipelineRun
		for end := time.Now().Add(2 * time.Minute); (run == nil || run.Status != "PAUSED_PENDING_INPUT") && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			run, err = ask.GetPipelineRun(ctx, fmt.Sprint(n+1))
		}
		c.ok("GetPipelineRun that waits", err, run != nil)
		pending, err := run.GetPendingInputActions(ctx)
		c.ok("GetPendingInputActions", err, len(pending) == 1)
		given, err := answer.give(run)
		c.ok(answer.name, err, given)
		goEnds(ctx, c, b)
		c.ok("GetResult after "+answer.name, nil, b.GetResult() == answer.result)
	}
}

func goNodes(ctx context.Context, c *calls, j *gojenkins.Jenkins) {
	node, err := j.GetNode(ctx, "(built-in)")
	c.ok("GetNode", err, err == nil && node.GetName() == "Built-In Node")
	online, err := node.IsOnline(ctx)
	c.ok("IsOnline", err, online)
	idle, err := node.IsIdle(ctx)
	c.ok("IsIdle", err, idle)
	jnlp, err := node.IsJnlpAgent(ctx)
	c.ok("IsJnlpAgent", err, !jnlp)
	away, err := node.IsTemporarilyOffline(ctx)
	c.ok("IsTemporarilyOffline", err, !away)
	info, err := node.Info(ctx)
	c.ok("Info of a node", err, err == nil && info.DisplayName == "Built-In Node")
	_, err = node.SetOffline(ctx)
	c.refused("SetOffline", err, "agents are made by builds")
	_, err = j.CreateNode(ctx, "mine", 1, "", "/tmp", "x")
	c.refused("CreateNode", err, "agents are made by builds")
	_, err = j.DeleteNode(ctx, "(built-in)")
	c.refused("DeleteNode", err, "agents are made by builds")
}

func goViews(ctx context.Context, c *calls, j *gojenkins.Jenkins) {
	view, err := j.CreateView(ctx, "mine", gojenkins.LIST_VIEW)
	c.ok("CreateView", err, err == nil && view.GetName() == "mine")
	_, err = j.CreateView(ctx, "nested", gojenkins.NESTED_VIEW)
	c.refused("CreateView of another kind", err, "no views of the class")
	added, err := view.AddJob(ctx, "app")
	c.ok("AddJob", err, added)
	_, err = view.Poll(ctx)
	c.ok("GetJobs", err, len(view.GetJobs()) == 1 && view.GetJobs()[0].Name == "app")
	removed, err := view.DeleteJob(ctx, "app")
	c.ok("DeleteJob", err, removed)
	_, err = view.AddJob(ctx, "no-such-job")
	c.note("AddJob of a missing job", "not found", err != nil)
	views, err := j.GetAllViews(ctx)
	c.ok("GetAllViews", err, slices.ContainsFunc(views, func(v *gojenkins.View) bool { return v.GetName() == "mine" && len(v.GetJobs()) == 0 }))
}

func goCredentials(ctx context.Context, c *calls, j *gojenkins.Jenkins) {
	const class = gojenkins.KeySourceDirectEntryType
	for _, m := range []gojenkins.CredentialsManager{{J: j}, {J: j, Folder: "team"}} {
		where := " in the system"
		if m.Folder != "" {
			where = " in a folder"
		}
		c.ok("Add of a user and password"+where, m.Add(ctx, "_", gojenkins.UsernameCredentials{ID: "git", Scope: "GLOBAL", Username: "bob", Password: "secret"}), true)
		c.ok("Add of a text"+where, m.Add(ctx, "_", gojenkins.StringCredentials{ID: "text", Scope: "GLOBAL", Secret: "secret"}), true)
		c.ok("Add of a file"+where, m.Add(ctx, "_", gojenkins.FileCredentials{ID: "file", Scope: "GLOBAL", Filename: "f", SecretBytes: "c2VjcmV0"}), true)
		c.ok("Add of a key"+where, m.Add(ctx, "_", gojenkins.SSHCredentials{ID: "key", Scope: "GLOBAL", Username: "git",
			PrivateKeySource: &gojenkins.PrivateKey{Value: "secret", Class: class}}), true)
		c.note("Add of Docker keys"+where, "refused: a class of a plugin that minijenkins does not have", m.Add(ctx, "_", gojenkins.DockerServerCredentials{ID: "docker", Scope: "GLOBAL"}) != nil)
		ids, err := m.List(ctx, "_")
		c.ok("List"+where, err, slices.Equal(ids, []string{"git", "text", "file", "key"}))
		var got gojenkins.UsernameCredentials
		err = m.GetSingle(ctx, "_", "git", &got)
		c.ok("GetSingle"+where, err, got.Username == "bob" && !strings.Contains(got.Password, "secret\x00"))
		c.ok("Update"+where, m.Update(ctx, "_", "git", &gojenkins.UsernameCredentials{ID: "git", Scope: "GLOBAL", Username: "alice", Password: "secret"}), true)
		err = m.GetSingle(ctx, "_", "git", &got)
		c.ok("GetSingle after Update"+where, err, got.Username == "alice")
		c.ok("Delete"+where, m.Delete(ctx, "_", "git"), true)
		ids, err = m.List(ctx, "_")
		c.ok("List after Delete"+where, err, !slices.Contains(ids, "git"))
	}
}

func goTokens(ctx context.Context, c *calls, j *gojenkins.Jenkins) {
	token, err := j.GenerateAPIToken(ctx, "mine")
	c.ok("GenerateAPIToken", err, len(token.Value) == 34 && token.Name == "mine")
	with := func(value string) error {
		_, err := gojenkins.CreateJenkins(nil, j.Server, testUser, value).Init(ctx)
		return err
	}
	c.ok("Init with it", with(token.Value), true)
	c.ok("Revoke", token.Revoke(), true)
	c.refused("Init with what was revoked", with(token.Value), "")
	second, err := j.GenerateAPIToken(ctx, "second")
	c.ok("GenerateAPIToken", err, with(second.Value) == nil)
	c.ok("RevokeAllAPITokens", j.RevokeAllAPITokens(ctx), with(second.Value) != nil)
}

// TestTokensAreNotKept looks for the value of a token in the files of the server.
func TestTokensAreNotKept(t *testing.T) {
	dir := t.TempDir()
	address := startIn(t, dir)
	j, err := gojenkins.CreateJenkins(nil, address, testUser, testPassword).Init(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	token, err := j.GenerateAPIToken(t.Context(), "mine")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		seen++
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(token.Value)) {
			t.Errorf("%s holds the token", path)
		}
		return err
	})
	if err != nil || seen == 0 {
		t.Error(seen, err)
	}
}
