// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/gitfiles"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha3/gitrepository"
	"github.com/slipway-dev/slipway/pkg/objectstore"
	"github.com/slipway-dev/slipway/pkg/objectstore/embedded"
)

// gitServer serves one bare repository with a commit on main, to user and password, and gives its folder.
func gitServer(t *testing.T) (bare, url string) {
	t.Helper()
	bin, err := exec.LookPath("git")
	if err != nil {
		t.Skip("git is not installed: nothing serves repositories")
	}
	root := t.TempDir()
	bare, work := filepath.Join(root, "r.git"), filepath.Join(root, "work")
	runGit(t, root, "init", "--quiet", "--bare", "--initial-branch=main", bare)
	runGit(t, bare, "config", "http.receivepack", "true")
	runGit(t, root, "clone", "--quiet", bare, work)
	for name, content := range map[string]string{"README.md": "# hello", "src/ünï.txt": "text"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(work, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(work, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	runGit(t, work, "add", "--all")
	runGit(t, work, "commit", "--quiet", "-m", "first")
	runGit(t, work, "push", "--quiet", "origin", "HEAD:main", "HEAD:feat/x")
	backend := &cgi.Handler{Path: bin, Args: []string{"http-backend"}, Stderr: io.Discard, Env: []string{
		"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=user", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); u != "user" || p != "pa55word" {
			w.Header().Set("WWW-Authenticate", "Basic")
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return bare, server.URL + "/r.git"
}

func runGit(t *testing.T, dir string, args ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "user.name=Dev", "-c", "user.email=dev@example.invalid"}, args...)...)
	command.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1")
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// testStore is an object store of its own for a test.
func testStore(t *testing.T) *objectstore.Store {
	t.Helper()
	server, err := embedded.New(t.Context(), embedded.Config{Dir: t.TempDir(), Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	access, secret := server.Keys()
	store, err := objectstore.New(objectstore.Config{Endpoint: server.Endpoint(), AccessKey: access, SecretKey: secret, PathStyle: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.EnsureBucket(t.Context()); err != nil {
		t.Fatal(err)
	}
	return store
}

// newGitWorld has a repository "app" in the namespace ann-dev of the user ann.
func newGitWorld(t *testing.T, changes ...func(*Config)) (w *world, bare string) {
	t.Helper()
	bare, url := gitServer(t)
	git, err := gitfiles.New(gitfiles.Options{Dir: t.TempDir(), AllowLocal: true})
	if err != nil {
		t.Fatal(err)
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ann-dev", Name: "cred"}, Type: devopsv1alpha3.SecretTypeBasicAuth,
		Data: map[string][]byte{"username": []byte("user"), "password": []byte("pa55word")}}
	wrong := secret.DeepCopy()
	wrong.Name, wrong.Data["password"] = "wrong", []byte("x")
	repo := func(name, secret, address string) client.Object {
		r := &devopsv1alpha3.GitRepository{ObjectMeta: metav1.ObjectMeta{Namespace: "ann-dev", Name: name, UID: "uid-1"}, Spec: devopsv1alpha3.GitRepositorySpec{URL: address}}
		if secret != "" {
			r.Spec.Secret = &corev1.SecretReference{Name: secret}
		}
		return r
	}
	elsewhere, ok := repo("elsewhere", "cred", url).(*devopsv1alpha3.GitRepository)
	if !ok {
		t.Fatal("it is a GitRepository")
	}
	elsewhere.Spec.Secret.Namespace = "ann-prod"
	others := secret.DeepCopy()
	others.Namespace = "ann-prod"
	setUp := func(c *Config) {
		c.Git, c.GitUploads = git, testStore(t)
		for _, change := range changes {
			change(c)
		}
	}
	return newWorld(t, setUp,
		others, elsewhere, secret, wrong, repo("app", "cred", url), repo("nosecret", "nope", url), repo("wrong", "wrong", url), repo("public", "", url), repo("file", "", "file:///etc")), bare
}

const gitPath = devops + "/namespaces/ann-dev/gitrepositories/app"

func inBase64(path string) string { return base64.URLEncoding.EncodeToString([]byte(path)) }

func TestGitFilesRead(t *testing.T) {
	w, bare := newGitWorld(t)
	head := runGit(t, bare, "rev-parse", "main")
	for _, family := range []string{"namespaces", "devops"} {
		base := devops + "/" + family + "/ann-dev/gitrepositories/app"
		branches := decode[gitrepository.List[gitrepository.BranchInfo]](t, w.do(call{path: base + "/branches?withHead=true", user: "ann"}))
		if branches.TotalItems != 3 || branches.Items[0].Name != "HEAD" || branches.Items[2].Ref != "refs/heads/main" || branches.Items[2].Commit.Hash != head || branches.Options.Limit != 20 {
			t.Errorf("branches: %+v", branches)
		}
		for _, name := range []string{"feat%2Fx", "feat%252Fx"} {
			if b := decode[gitrepository.BranchInfo](t, w.do(call{path: base + "/branches/" + name, user: "ann"})); b.Name != "feat/x" {
				t.Errorf("%s: %+v", name, b)
			}
		}
		files := decode[gitrepository.List[gitrepository.FileInfo]](t, w.do(call{path: base + "/branches/main/files?file=%2F&withLastCommit=true", user: "ann"}))
		if files.TotalItems != 3 || !files.Items[0].IsDir || files.Items[0].Commit.Hash != head || files.Items[1].Name != "README.md" || !files.Items[2].IsDir {
			t.Errorf("files: %+v", files)
		}
		f := decode[gitrepository.FileInfo](t, w.do(call{path: base + "/branches/main/files/" + inBase64("README.md") + "?withContent=true", user: "ann"}))
		if string(f.Data) != "# hello" || f.Size != 7 {
			t.Errorf("file: %+v", f)
		}
		raw := w.do(call{path: base + "/commits/" + head + "/rawfiles/" + inBase64("src/ünï.txt"), user: "ann"})
		if raw.Body.String() != "text" || raw.Header().Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(raw.Header().Get("Content-Disposition"), "attachment; filename*=") {
			t.Errorf("raw: %d %v %s", raw.Code, raw.Header(), raw.Body)
		}
		commits := decode[gitrepository.List[gitrepository.CommitInfo]](t, w.do(call{path: base + "/branches/main/commits?file=README.md", user: "ann"}))
		if commits.TotalItems != 1 || commits.Items[0].Commit.Author.Name != "Dev" {
			t.Errorf("commits: %+v", commits)
		}
		answer := w.do(call{path: base + "/commits/" + head, user: "ann"})
		for _, key := range []string{`"Hash"`, `"Author":{"Name"`, `"When"`, `"TreeHash"`, `"ParentHashes":[]`, `"MergeTag"`} {
			if !strings.Contains(answer.Body.String(), key) {
				t.Errorf("the console reads %s: %s", key, answer.Body)
			}
		}
	}
}

func TestGitFilesWrite(t *testing.T) {
	w, bare := newGitWorld(t)
	do := func(method, path, body string, want int) *httptest.ResponseRecorder {
		t.Helper()
		answer := w.do(call{method: method, path: gitPath + path, user: "ann", body: body})
		if answer.Code != want {
			t.Errorf("%s %s: %d %s", method, path, answer.Code, answer.Body)
		}
		return answer
	}
	if got := do(http.MethodPut, "/configs/default", `{"config":{"Author":{"Name":"Ann Lee","Email":"ann@example.org"}}}`, 200); !strings.Contains(got.Body.String(), `"User":{"Name":"Ann Lee"`) {
		t.Errorf("config: %s", got.Body)
	}
	if got := do(http.MethodGet, "/configs/default", "", 200); !strings.Contains(got.Body.String(), "ann@example.org") {
		t.Errorf("config: %s", got.Body)
	}
	data := base64.StdEncoding.EncodeToString([]byte("new"))
	made := decode[gitrepository.CommitInfo](t, do(http.MethodPost, "/branches/main/files", fmt.Sprintf(`{"files":[{"name":"a/b.txt","data":%q}],"message":"add"}`, data), 200))
	if got := runGit(t, bare, "log", "-1", "--format=%H %an %ae", "main"); got != made.Commit.Hash+" Ann Lee ann@example.org" {
		t.Errorf("commit %q", got)
	}
	do(http.MethodPost, "/branches/main/files", fmt.Sprintf(`{"files":[{"name":"a/b.txt","data":%q}],"message":"again"}`, data), 409)
	do(http.MethodDelete, "/branches/main/files?file=a%2Fb.txt&message=rm", "", 200)
	do(http.MethodDelete, "/branches/main/files?file=a%2Fb.txt&message=rm", "", 404)
	do(http.MethodDelete, "/branches/main/files?file=README.md", "", 400)
	do(http.MethodPost, "/branches/new%2Fone/checkouts", `{}`, 404)
	do(http.MethodPost, "/branches/new%2Fone/checkouts", `{"from":"main"}`, 200)
	do(http.MethodPost, "/branches/new%2Fone/checkouts", "", 200)
	do(http.MethodPost, "/branches/new%2Fone/pulls", "", 200)
	if got := runGit(t, bare, "rev-parse", "new/one"); got != runGit(t, bare, "rev-parse", "main") {
		t.Errorf("new/one is at %s", got)
	}

	var zipped bytes.Buffer
	gz := gzip.NewWriter(&zipped)
	archive := tar.NewWriter(gz)
	for _, name := range []string{"./x", "y/z"} {
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: 1}); err != nil {
			t.Fatal(err)
		}
		_, _ = archive.Write([]byte("1"))
	}
	_, _ = archive.Close(), gz.Close()
	body, _ := json.Marshal(gitrepository.AddFilesBody{Files: []gitrepository.NamedData{{Name: "dir", Data: zipped.Bytes()}}, Message: "unpack", Unpack: true})
	do(http.MethodPost, "/branches/main/files", string(body), 200)
	if got := runGit(t, bare, "ls-tree", "-r", "--name-only", "main", "dir"); got != "dir/x\ndir/y/z" {
		t.Errorf("unpacked %q", got)
	}
}

// upload makes a form of files.
func upload(t *testing.T, fields ...string) (body, contentType string) {
	t.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	for i := 0; i < len(fields); i += 2 {
		var part io.Writer
		var err error
		if strings.HasSuffix(fields[i], "_name") || fields[i] == "md5" {
			part, err = form.CreateFormField(fields[i])
		} else {
			part, err = form.CreateFormFile(fields[i], "app.jar")
		}
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(part, fields[i+1])
	}
	_ = form.Close()
	return b.String(), form.FormDataContentType()
}

func TestGitUploads(t *testing.T) {
	w, bare := newGitWorld(t)
	send := func(user string, fields ...string) int {
		body, contentType := upload(t, fields...)
		return w.do(call{method: http.MethodPost, path: gitPath + "/uploads", user: user, body: body, contentType: contentType}).Code
	}
	for name, tc := range map[string]struct {
		fields []string
		want   int
	}{
		"good":     {[]string{"file0", "zero", "file0_name", "up/0", "file1_name", "up/1", "file1", "one\x00"}, 200},
		"no name":  {[]string{"file0", "x"}, 400},
		"no file":  {[]string{"file0_name", "x"}, 400},
		"path":     {[]string{"file0", "x", "file0_name", "../x"}, 400},
		"field":    {[]string{"other", "x"}, 400},
		"eleventh": {[]string{"file10", "x", "file10_name", "x"}, 400},
		"large":    {[]string{"file0", strings.Repeat("x", 10<<20+1), "file0_name", "x"}, 413},
	} {
		t.Run(name, func(t *testing.T) {
			if got := send("ann", tc.fields...); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
	commit := call{method: http.MethodPost, path: gitPath + "/branches/main/files", body: `{"files":[{"name":"up/0"},{"name":"up/1"}],"message":"m","uploaded":true}`}
	commit.user = "root"
	if got := w.do(commit); got.Code != 404 {
		t.Errorf("another user's uploads: %d %s", got.Code, got.Body)
	}
	commit.user = "ann"
	if got := w.do(commit); got.Code != 200 {
		t.Fatalf("%d %s", got.Code, got.Body)
	}
	if got := runGit(t, bare, "show", "main:up/1"); got != "one\x00" {
		t.Errorf("got %q", got)
	}
	if got := w.do(commit); got.Code != 404 {
		t.Errorf("they are used up: %d %s", got.Code, got.Body)
	}
}

// slowUploads is an object store that answers when it is told to, that there is nothing.
type slowUploads struct {
	gitrepository.Uploads
	asked, answer chan struct{}
}

func (s slowUploads) Get(context.Context, string) (io.ReadCloser, objectstore.Info, error) {
	s.asked <- struct{}{}
	<-s.answer
	return nil, objectstore.Info{}, objectstore.ErrNotFound
}

// TestGitUploadsAtOnce: commits whose contents are not in their requests, and so are not bounded by their lengths, are
// bounded by their number.
func TestGitUploadsAtOnce(t *testing.T) {
	slow := slowUploads{asked: make(chan struct{}), answer: make(chan struct{})}
	w, _ := newGitWorld(t, func(c *Config) { c.GitUploads = slow })
	commit := func(how string) *httptest.ResponseRecorder {
		return w.do(call{method: http.MethodPost, path: gitPath + "/branches/main/files", user: "ann", body: `{"files":[{"name":"x"}],"message":"m",` + how + `}`})
	}
	done := make(chan int, 1)
	go func() { done <- commit(`"uploaded":true`).Code }()
	<-slow.asked
	for _, how := range []string{`"uploaded":true`, `"unpack":true`} {
		if got := commit(how); got.Code != http.StatusTooManyRequests {
			t.Errorf("another one with %s: %d %s", how, got.Code, got.Body)
		}
	}
	close(slow.answer)
	if got := <-done; got != http.StatusNotFound {
		t.Errorf("the first: %d", got)
	}
	if got := commit(`"unpack":true`); got.Code != http.StatusBadRequest {
		t.Errorf("after it: %d %s, want that it is no archive", got.Code, got.Body)
	}
}

func TestGitFilesErrors(t *testing.T) {
	w, _ := newGitWorld(t)
	repos := devops + "/namespaces/ann-dev/gitrepositories/"
	large := `{"files":[{"name":"x","data":"` + strings.Repeat("AAAA", 4<<20) + `"}],"message":"m"}`
	for name, tc := range map[string]struct {
		call call
		want int
		text string
	}{
		"another's":    {call{path: gitPath + "/branches", user: "bob"}, 403, ""},
		"nobody":       {call{path: gitPath + "/branches"}, 401, ""},
		"repository":   {call{path: repos + "nope/branches", user: "ann"}, 404, "nope"},
		"no secret":    {call{path: repos + "nosecret/branches", user: "ann"}, 400, "ann-dev/nope"},
		"wrong secret": {call{path: repos + "wrong/branches", user: "ann"}, 403, "refuses the credential"},
		"private":      {call{path: repos + "public/branches", user: "ann"}, 403, "wants a credential"},
		"file scheme":  {call{path: repos + "file/branches", user: "ann"}, 400, "must begin with"},
		"branch":       {call{path: gitPath + "/branches/nope", user: "ann"}, 404, "nope"},
		"page":         {call{path: gitPath + "/branches?page=x", user: "ann"}, 400, "page"},
		"switch":       {call{path: gitPath + "/branches/main/files?withContent=maybe", user: "ann"}, 400, "withContent"},
		"commit":       {call{path: gitPath + "/commits/main", user: "ann"}, 400, "40"},
		"base64":       {call{path: gitPath + "/branches/main/files/!!", user: "ann"}, 400, "base64"},
		"git folder":   {call{path: gitPath + "/branches/main/files/" + inBase64(".git/config"), user: "ann"}, 400, "git itself"},
		"up":           {call{path: gitPath + "/branches/main/rawfiles/" + inBase64("../../etc/passwd"), user: "ann"}, 400, "relative"},
		"unknown":      {call{method: "POST", path: gitPath + "/branches/main/files", user: "ann", body: `{"fils":[]}`}, 400, "fils"},
		"wrong type":   {call{method: "POST", path: gitPath + "/branches/main/files", user: "ann", body: `{"files":"x"}`}, 400, "files"},
		"empty":        {call{method: "POST", path: gitPath + "/branches/main/files", user: "ann", body: `{"files":[],"message":"m"}`}, 400, "no file"},
		"branches":     {call{method: "POST", path: gitPath + "/branches/main/files", user: "ann", body: `{"branch":"dev","files":[],"message":"m"}`}, 400, "dev"},
		"large":        {call{method: "POST", path: gitPath + "/branches/main/files", user: "ann", body: large}, 413, "limit"},
		"bad archive":  {call{method: "POST", path: gitPath + "/branches/main/files", user: "ann", body: `{"files":[{"name":"d","data":"AAAA"}],"message":"m","unpack":true}`}, 400, "archive"},
		"not uploaded": {call{method: "POST", path: gitPath + "/branches/main/files", user: "ann", body: `{"files":[{"name":"d"}],"message":"m","uploaded":true}`}, 404, "uploaded"},
		"many uploads": {call{method: "POST", path: gitPath + "/branches/main/files", user: "ann",
			body: `{"files":[{"name":"d"}` + strings.Repeat(`,{"name":"d"}`, 100) + `],"message":"m","uploaded":true}`}, 400, "101"},
		"elsewhere": {call{path: repos + "elsewhere/branches", user: "ann"}, 400, "another namespace"},
		"no form":   {call{method: "POST", path: gitPath + "/uploads", user: "ann", body: `{}`}, 415, ""},
		"author":    {call{method: "PUT", path: gitPath + "/configs/default", user: "ann", body: `{"config":{"User":{"Name":"a<b>"}}}`}, 400, "config"},
		"config":    {call{method: "PUT", path: gitPath + "/configs/default", user: "ann", body: `{}`}, 400, "required"},
	} {
		t.Run(name, func(t *testing.T) {
			got := w.do(tc.call)
			if got.Code != tc.want || !strings.Contains(got.Body.String(), tc.text) {
				t.Errorf("got %d %.300s, want %d with %q", got.Code, got.Body, tc.want, tc.text)
			}
			if strings.Contains(got.Body.String(), "pa55word") {
				t.Error("the password is in the answer")
			}
		})
	}
	without := newWorld(t, nil, &devopsv1alpha3.GitRepository{ObjectMeta: metav1.ObjectMeta{Namespace: "ann-dev", Name: "app"}})
	if got := without.do(call{path: gitPath + "/branches", user: "ann"}); got.Code != 501 || !strings.Contains(got.Body.String(), "--git-cache-dir") {
		t.Errorf("without a folder: %d %s", got.Code, got.Body)
	}
}

func TestGitRepositoryAddressIsCompleted(t *testing.T) {
	w := newWorld(t, nil)
	body := `{"metadata":{"name":"r"},"spec":{"provider":"gitlab","owner":"group/sub","repo":"app"}}`
	got := decode[devopsv1alpha3.GitRepository](t, w.do(call{method: http.MethodPost, path: devops + "/namespaces/ann-dev/gitrepositories", user: "ann", body: body}))
	if got.Spec.URL != "https://gitlab.com/group/sub/app.git" {
		t.Errorf("url %q", got.Spec.URL)
	}
}

func TestWebhookKind(t *testing.T) {
	w := newWorld(t, nil)
	for _, family := range []string{"namespaces", "devops"} {
		path := devops + "/" + family + "/ann-dev/webhooks"
		if got := w.do(call{method: http.MethodPost, path: path, user: "ann", body: `{"metadata":{"name":"` + family + `"},"spec":{"server":"https://ci.example.org","secret":{"name":"s"},"events":["push"]}}`}); got.Code != 201 {
			t.Errorf("%d %s", got.Code, got.Body)
		}
		if got := w.do(call{path: path + "/" + family, user: "ann"}); got.Code != 200 {
			t.Errorf("%d %s", got.Code, got.Body)
		}
		if got := w.do(call{path: path, user: "bob"}); got.Code != 403 {
			t.Errorf("another's: %d", got.Code)
		}
		for _, spec := range []string{`{"server":"https://u:p@example.org"}`, `{"server":"ftp://x"}`, `{"secret":{"name":"s","namespace":"other"}}`} {
			if got := w.do(call{method: http.MethodPost, path: path, user: "ann", body: `{"metadata":{"name":"bad"},"spec":` + spec + `}`}); got.Code != 422 || strings.Contains(got.Body.String(), "u:p") {
				t.Errorf("%s: %d %s", spec, got.Code, got.Body)
			}
		}
	}
}
