// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package nodeconfig

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-dev/slipway/hack/cluster/internal/layout"
	"github.com/slipway-dev/slipway/hack/cluster/internal/netplan"
)

func testPlan(t *testing.T) netplan.Plan {
	t.Helper()
	plan, err := netplan.Choose("test", nil)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func TestHostsTOML(t *testing.T) {
	plan := testPlan(t)
	url := "http://" + plan.NodeIP.String() + ":5000"
	want := `server = "` + url + `"

[host."` + url + `"]
  capabilities = ["pull", "resolve"]
`
	if got := HostsTOML(plan); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestContainerdConfigStaysInTheStateDirectory(t *testing.T) {
	l, err := layout.New("/repo", "/state")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(ContainerdConfig(l)) {
		key, value, ok := strings.Cut(line, "=")
		if !ok || !strings.Contains(value, `"/`) {
			continue
		}
		if !strings.Contains(value, `"/state/`) && !strings.Contains(value, `"/repo/.run/bin/`) {
			t.Errorf("%s is outside the state directory: %s", strings.TrimSpace(key), strings.TrimSpace(value))
		}
	}
}

func TestResolvConfHasNoLoopback(t *testing.T) {
	plan := testPlan(t)
	got := resolvConf("search example.com\nnameserver 127.0.0.53\nnameserver 192.0.2.9\n", plan)
	want := "search example.com\nnameserver " + plan.HostIP.String() + "\nnameserver 192.0.2.9\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRender(t *testing.T) {
	l, err := layout.New(t.TempDir(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	plan := testPlan(t)
	cfg, err := Render(l, plan, Options{})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(l.Kubeconfig())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("kubeconfig: %v, %v; want mode 0600", info, err)
	}
	known := []string{"registry"}
	for _, c := range cfg.Components {
		for _, need := range c.Needs {
			if !slices.Contains(known, need) {
				t.Errorf("%s needs %s, which does not come before it", c.Name, need)
			}
		}
		known = append(known, c.Name)
		if slices.Contains(c.Args, "--unsafe-no-fsync") {
			t.Errorf("%s is not durable by default", c.Name)
		}
	}
	for _, name := range []string{"kubelet.json", "kube-proxy.json"} {
		b, err := os.ReadFile(l.In("config", name))
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(b) {
			t.Errorf("%s is not JSON", name)
		}
	}
	before, err := os.ReadFile(filepath.Join(l.In("pki"), "admin.crt"))
	if err != nil {
		t.Fatal(err)
	}
	if cfg, err = Render(l, plan, Options{NoFsync: true}); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(filepath.Join(l.In("pki"), "admin.crt"))
	if err != nil {
		t.Fatal(err)
	}
	if string(before) != string(after) {
		t.Error("rendering again replaced a good certificate")
	}
	if !slices.Contains(cfg.Components[0].Args, "--unsafe-no-fsync") {
		t.Error("the choice against durability had no effect")
	}
	// Another address needs another server certificate, from the same authority.
	plan2, err := netplan.Choose("other", nil)
	if err != nil {
		t.Fatal(err)
	}
	server, err := os.ReadFile(filepath.Join(l.In("pki"), "apiserver.crt"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Render(l, plan2, Options{}); err != nil {
		t.Fatal(err)
	}
	server2, err := os.ReadFile(filepath.Join(l.In("pki"), "apiserver.crt"))
	if err != nil {
		t.Fatal(err)
	}
	if string(server) == string(server2) {
		t.Error("a server certificate for another address was kept")
	}
}
