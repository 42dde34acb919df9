// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package up

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	"golang.org/x/crypto/bcrypt"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/pkg/authn/password"
	"github.com/slipway-dev/slipway/pkg/testing/envtest"
)

func TestMain(m *testing.M) { os.Exit(envtest.Main(m)) }

func TestOptions(t *testing.T) {
	cases := map[string]struct {
		reason string
		args   []string
		want   []string
	}{
		"Defaults":     {reason: "a first start needs no flag"},
		"Addresses":    {reason: "all that is wrong is told at once", args: []string{"--listen=9090", "--s3-listen=x"}, want: []string{"--listen", "--s3-listen"}},
		"JenkinsToken": {reason: "a Jenkins needs a credential", args: []string{"--jenkins-url=http://j"}, want: []string{"--jenkins-token-file"}},
		"TokenGiven":   {reason: "which may be on the command line", args: []string{"--jenkins-url=http://j", "--jenkins-token=t"}},
		"S3Keys":       {reason: "an S3 server needs keys", args: []string{"--s3-endpoint=s3:9000"}, want: []string{"--s3-secret-key-file"}},
		"Empty":        {reason: "namespaces are needed", args: []string{"--worker-namespace="}, want: []string{"--worker-namespace"}},
		"SystemUser":   {reason: "names of Kubernetes' own are not for people", args: []string{"--admin-user=system:admin"}, want: []string{"--admin-user"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			options := NewOptions()
			flags := pflag.NewFlagSet("up", pflag.ContinueOnError)
			options.AddFlags(flags)
			if err := flags.Parse(tc.args); err != nil {
				t.Fatal(err)
			}
			err := options.Validate()
			if (err == nil) != (len(tc.want) == 0) {
				t.Fatalf("%s: %v", tc.reason, err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %v does not name %s", tc.reason, err, want)
				}
			}
		})
	}
}

func TestState(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadState(dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("without a state: %v, want ErrNotRunning", err)
	}
	want := &State{PID: 1, URL: "http://127.0.0.1:9090", Username: "admin", Jenkins: Endpoint{URL: "http://j", Embedded: true}}
	if err := want.write(dir); err != nil {
		t.Fatal(err)
	}
	got, err := ReadState(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	killed := *want
	process := exec.CommandContext(t.Context(), "true")
	if err := process.Run(); err != nil {
		t.Fatal(err)
	}
	killed.PID = process.Process.Pid
	if err := killed.write(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadState(dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("the state of a process that has ended: %v, want ErrNotRunning", err)
	}
	info, err := os.Stat(filepath.Join(dir, StateFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read the state: %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(filepath.Join(dir, StateFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadState(dir); err == nil {
		t.Error("a broken state was read")
	}
}

func TestLockState(t *testing.T) {
	dir := t.TempDir()
	first, err := lockState(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockState(dir); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second process took the folder: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := lockState(dir)
	if err != nil {
		t.Fatalf("the folder is not free after its user has gone: %v", err)
	}
	_ = second.Close()
}

// TestRunTellsWhatIsWrong: what keeps it from starting is one line that names the flag which helps.
func TestRunTellsWhatIsWrong(t *testing.T) {
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	t.Setenv("HOME", t.TempDir())
	t.Setenv("KUBECONFIG", "")
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		change func(*Options)
		want   []string
	}{
		"no cluster":    {change: func(*Options) {}, want: []string{"--kubeconfig", "KUBECONFIG", "make run"}},
		"no kubeconfig": {change: func(o *Options) { o.Kubeconfig = "/nonexistent" }, want: []string{"/nonexistent"}},
		"port in use":   {change: func(o *Options) { o.Listen = taken.Addr().String() }, want: []string{"in use", "--listen"}},
		"state folder":  {change: func(o *Options) { o.StateDir = filepath.Join(file, "state") }, want: []string{file, "--state-dir"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			options := NewOptions()
			options.StateDir, options.Listen = t.TempDir(), "127.0.0.1:0"
			tc.change(options)
			err := Run(t.Context(), options, io.Discard)
			if err == nil || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%v, want one line", err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v does not name %s", err, want)
				}
			}
		})
	}
}

// TestBootstrap prepares a cluster twice: what is there stays as it is, keys and password above all.
func TestBootstrap(t *testing.T) {
	c := envtest.Client(t)
	options := NewOptions()
	options.StateDir = t.TempDir()
	options.SystemNamespace, options.WorkerNamespace = envtest.Namespace(t), envtest.Namespace(t)
	first, err := bootstrap(t.Context(), c, options)
	if err != nil {
		t.Fatal(err)
	}
	passwordFile, err := ensureAdmin(t.Context(), c, options)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(passwordFile)
	if err != nil || len(text) < 20 {
		t.Fatalf("password of %d characters, %v", len(text), err)
	}
	again, err := bootstrap(t.Context(), c, options)
	if err != nil {
		t.Fatal(err)
	}
	if string(first.jwt) != string(again.jwt) || string(first.jobToken) != string(again.jobToken) || string(first.jwt) == string(first.jobToken) {
		t.Error("a second start must find the keys of the first, and no key serves two ends")
	}
	user := func() *corev1.Secret {
		t.Helper()
		var secrets corev1.SecretList
		if err := c.List(t.Context(), &secrets, client.InNamespace(options.SystemNamespace), client.HasLabels{password.UserLabel}); err != nil || len(secrets.Items) != 1 {
			t.Fatalf("%d users, %v", len(secrets.Items), err)
		}
		return &secrets.Items[0]
	}
	before := user()
	if bcrypt.CompareHashAndPassword(before.Data[password.KeyPasswordHash], text) != nil {
		t.Error("the password in the file does not fit")
	}
	if _, err := ensureAdmin(t.Context(), c, options); err != nil {
		t.Fatal(err)
	}
	if user().ResourceVersion != before.ResourceVersion {
		t.Error("a second start wrote the user anew")
	}
	if err := os.Remove(passwordFile); err != nil {
		t.Fatal(err)
	}
	if _, err := ensureAdmin(t.Context(), c, options); err != nil {
		t.Fatal(err)
	}
	if text, err = os.ReadFile(passwordFile); err != nil || bcrypt.CompareHashAndPassword(user().Data[password.KeyPasswordHash], text) != nil {
		t.Errorf("a lost password was not replaced: %v", err)
	}
	binding := &rbacv1.ClusterRoleBinding{}
	if err := c.Get(t.Context(), client.ObjectKey{Name: "slipway-admins"}, binding); err != nil {
		t.Errorf("administrators have no role: %v", err)
	}
}

func TestKeysThatAreTooShort(t *testing.T) {
	c := envtest.Client(t)
	namespace := envtest.Namespace(t)
	secret := &corev1.Secret{Data: map[string][]byte{jwtSecretKey: []byte("tiny-key"), jobTokenKey: randomText(keyBytes)}}
	secret.Namespace, secret.Name = namespace, keysSecret
	if err := c.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	if _, err := ensureKeys(t.Context(), c, namespace); err == nil || !strings.Contains(err.Error(), keysSecret) || strings.Contains(err.Error(), "tiny-key") {
		t.Errorf("a weak key was taken, or told: %v", err)
	}
}
