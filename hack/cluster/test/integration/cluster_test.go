// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Package integration tries a real cluster: start, pods, the death of any part
// of it, and a removal that leaves nothing behind.
package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-dev/slipway/hack/cluster/internal/cluster"
	"github.com/slipway-dev/slipway/hack/cluster/internal/layout"
	"github.com/slipway-dev/slipway/hack/cluster/internal/proc"
)

// guard is the environment variable that lets the test run.
const guard = "DEVCLUSTER_INTEGRATION"

const manifest = `
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  serviceName: web
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      securityContext: {runAsUser: 1000, runAsNonRoot: true, fsGroup: 1000}
      containers:
      - name: web
        image: registry.slipway.internal/test/web:1
        readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
        volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
`

// env is a cluster under test.
type env struct {
	t *testing.T
	l layout.Layout
}

func (e *env) ctx() context.Context { return e.t.Context() }

// run runs a program and returns its output; it must succeed.
func (e *env) run(stdin, name string, args ...string) string {
	e.t.Helper()
	out, err := e.try(stdin, name, args...)
	if err != nil {
		e.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func (e *env) try(stdin, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(e.ctx(), filepath.Join(e.l.Bin(), name), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+e.l.Kubeconfig())
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err != nil {
		return stdout.String() + stderr.String(), err
	}
	return stdout.String(), nil
}

func (e *env) devcluster(args ...string) string {
	e.t.Helper()
	return e.run("", "devcluster", append(args, "--repo="+e.l.Repo, "--state-dir="+e.l.State)...)
}

func (e *env) kubectl(args ...string) string {
	e.t.Helper()
	return strings.TrimSpace(e.run("", "kubectl", args...))
}

func (e *env) status() cluster.Status {
	e.t.Helper()
	var st cluster.Status
	if err := json.Unmarshal([]byte(e.devcluster("status", "-o", "json")), &st); err != nil {
		e.t.Fatal(err)
	}
	return st
}

// eventually polls until what returns "" and fails with what it said last.
func (e *env) eventually(within time.Duration, what func() string) {
	e.t.Helper()
	deadline := time.Now().Add(within)
	for {
		problem := what()
		if problem == "" {
			return
		}
		if time.Now().After(deadline) {
			e.t.Fatalf("after %v: %s", within, problem)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-e.ctx().Done():
			e.t.Fatal(e.ctx().Err())
		}
	}
}

func (e *env) get(url string) (string, error) {
	req, err := http.NewRequestWithContext(e.ctx(), http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := (&http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", resp.StatusCode)
	}
	return strings.TrimSpace(string(b)), err
}

// answers waits until a page has an answer that contains want.
func (e *env) answers(url, want string) {
	e.t.Helper()
	e.eventually(20*time.Second, func() string {
		if got, err := e.get(url); err != nil || !strings.Contains(got, want) {
			return fmt.Sprintf("%s: %q, %v; want %q", url, got, err, want)
		}
		return ""
	})
}

func (e *env) podIP() string {
	e.t.Helper()
	return e.kubectl("get", "pod", "web-0", "-o", "jsonpath={.status.podIP}")
}

func (e *env) containerID() string {
	e.t.Helper()
	return e.kubectl("get", "pod", "web-0", "-o", "jsonpath={.status.containerStatuses[0].containerID}")
}

func TestCluster(t *testing.T) {
	if os.Getenv(guard) == "" {
		t.Skipf("it needs root and builds Kubernetes: set %s=1 to run it", guard)
	}
	if os.Geteuid() != 0 {
		t.Skip("it needs root, for control groups and network namespaces")
	}
	repo, err := layout.FindRepo()
	if err != nil {
		t.Fatal(err)
	}
	// The state directory's path must be short, which that of t.TempDir is not.
	state, err := os.MkdirTemp("/tmp", "dc-")
	if err != nil {
		t.Fatal(err)
	}
	l, err := layout.New(repo, state)
	if err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "run", "./cmd/devcluster", "build", "--repo="+repo)
	build.Dir = l.Source()
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	e := &env{t, l}
	t.Cleanup(func() {
		// The test's own context is over by now.
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, filepath.Join(l.Bin(), "devcluster"), "down", "--repo="+repo, "--state-dir="+state)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("down: %v\n%s", err, out)
		}
	})

	forwarding := e.file("/proc/sys/net/ipv4/ip_forward")
	began := time.Now()
	e.devcluster("up")
	t.Logf("up took %v", time.Since(began))
	began = time.Now()
	e.devcluster("up")
	if d := time.Since(began); d > time.Second {
		t.Errorf("up of a running cluster took %v", d)
	}
	e.startPod()
	e.network()
	e.identity()
	e.write("before")

	container := e.containerID()
	for _, name := range []string{"containerd", "kube-apiserver", "etcd", "kubelet", "kube-proxy", "kube-scheduler", "kube-controller-manager", "provisioner", "dns"} {
		e.killComponent(name)
	}
	if got := e.containerID(); got != container {
		t.Errorf("the container %s was replaced by %s", container, got)
	}
	e.answers("http://"+e.podIP()+":8080/lookup?name=web", ".")

	t.Log("killing the supervisor")
	e.kill(e.status().Supervisor)
	e.eventually(10*time.Second, func() string {
		if st := e.status(); st.Phase != cluster.PhaseStopped {
			return "phase is " + string(st.Phase)
		}
		return ""
	})
	e.devcluster("up")
	if got := e.containerID(); got != container {
		t.Errorf("the container %s was replaced by %s", container, got)
	}
	e.answers("http://"+e.podIP()+":8080/file/note", "before")

	t.Log("killing every process of the cluster")
	for _, pid := range e.processes() {
		e.kill(pid)
	}
	e.devcluster("up")
	e.eventually(time.Minute, func() string {
		if got := e.kubectl("get", "pod", "web-0", "-o", "jsonpath={.status.containerStatuses[0].restartCount}"); got == "0" {
			return "the pod has not been started again"
		}
		return ""
	})
	e.kubectl("wait", "--for=condition=Ready", "pod/web-0", "--timeout=60s")
	e.answers("http://"+e.podIP()+":8080/file/note", "before")

	t.Log("keeping the data")
	e.devcluster("down", "--keep-data")
	e.devcluster("up")
	e.eventually(time.Minute, func() string {
		ip := e.podIP()
		got, err := e.get("http://" + ip + ":8080/file/note")
		if err != nil || got != "before" {
			return fmt.Sprintf("file is %q, %v", got, err)
		}
		return ""
	})

	t.Log("removing a volume with its claim")
	e.kubectl("delete", "statefulset/web", "pvc/data-web-0", "--wait")
	e.eventually(20*time.Second, func() string {
		entries, err := os.ReadDir(l.In("volumes"))
		if err != nil || len(entries) > 0 {
			return fmt.Sprintf("volumes: %v, %v", entries, err)
		}
		return ""
	})

	e.run(manifest, "kubectl", "apply", "-f", "-")
	e.kubectl("wait", "--for=create", "pod/web-0", "--timeout=20s")
	e.kubectl("wait", "--for=condition=Ready", "pod/web-0", "--timeout=60s")
	sockets := e.shimSockets()
	if len(sockets) == 0 {
		t.Error("no shim's socket is known")
	}
	e.kill(e.status().Supervisor) // a killed cluster is the harder case
	began = time.Now()
	e.devcluster("down")
	t.Logf("down took %v", time.Since(began))
	e.devcluster("down")
	e.nothingLeft(sockets)
	if now := e.file("/proc/sys/net/ipv4/ip_forward"); now != forwarding {
		t.Errorf("ip_forward was %s and is %s", forwarding, now)
	}
}

// startPod makes an image and a StatefulSet of it, and measures its start.
func (e *env) startPod() {
	e.t.Helper()
	server := filepath.Join(e.t.TempDir(), "server")
	cmd := exec.CommandContext(e.ctx(), "go", "build", "-o", server, "./test/server")
	cmd.Dir = e.l.Source()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		e.t.Fatalf("building the test's server: %v\n%s", err, out)
	}
	args := []string{"image", "build", "test/web:1", "--add", server + ":/server:0755", "--entrypoint", `["/server"]`}
	first, again := e.devcluster(args...), e.devcluster(args...)
	if first != again {
		e.t.Errorf("the same image got two digests: %s and %s", first, again)
	}
	began := time.Now()
	e.run(manifest, "kubectl", "apply", "-f", "-")
	e.kubectl("wait", "--for=create", "pod/web-0", "--timeout=20s")
	e.kubectl("wait", "--for=condition=Ready", "pod/web-0", "--timeout=60s")
	e.t.Logf("the first pod with a volume was ready after %v", time.Since(began))
	began = time.Now()
	e.kubectl("delete", "pod", "web-0", "--wait=false", "--grace-period=0", "--force")
	e.eventually(30*time.Second, func() string {
		out, err := e.try("", "kubectl", "get", "pod", "web-0", "-o", "jsonpath={.metadata.deletionTimestamp}/{.status.conditions[?(@.type=='Ready')].status}")
		if err != nil || out != "/True" {
			return "pod is " + out
		}
		return ""
	})
	e.t.Logf("the next pod was ready after %v", time.Since(began))
}

// network tries every way between host, pods, Services and names.
func (e *env) network() {
	e.t.Helper()
	st := e.status()
	pod := "http://" + e.podIP() + ":8080"
	service := e.kubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
	port := e.kubectl("get", "service", "web", "-o", "jsonpath={.spec.ports[0].nodePort}")
	e.answers(pod, "web-0")
	e.answers("http://"+service, "web-0")
	e.answers("http://"+net.JoinHostPort(st.NodeIP, port), "web-0")
	e.answers(pod+"/fetch?url=http://web.default.svc.cluster.local", "web-0")
	e.answers(pod+"/lookup?name=web-0.web", "["+e.podIP()+"]")
	listener, err := net.Listen("tcp", net.JoinHostPort(st.HostIP, "0"))
	if err != nil {
		e.t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "from the host") })}
	go func() { _ = server.Serve(listener) }() // it ends when the test closes it
	defer server.Close()
	e.answers(pod+"/fetch?url=http://"+listener.Addr().String(), "from the host")
}

// identity checks that tokens of ServiceAccounts are taken and reviewed.
func (e *env) identity() {
	e.t.Helper()
	token := e.kubectl("create", "token", "default")
	review := fmt.Sprintf(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":%q}}`, token)
	out := e.run(review, "kubectl", "create", "-f", "-", "-o", "jsonpath={.status.user.username}")
	if out != "system:serviceaccount:default:default" {
		e.t.Errorf("the token's owner is %q", out)
	}
	privileged := `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"strict","labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`
	e.run(privileged, "kubectl", "apply", "-f", "-")
	if out, err := e.try("", "kubectl", "run", "x", "-n", "strict", "--image=x", "--privileged", "--dry-run=server"); err == nil {
		e.t.Errorf("a privileged pod was let into a restricted namespace: %s", out)
	}
}

func (e *env) write(content string) {
	e.t.Helper()
	req, err := http.NewRequestWithContext(e.ctx(), http.MethodPut, "http://"+e.podIP()+":8080/file/note", strings.NewReader(content))
	if err != nil {
		e.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		e.t.Fatalf("writing to the volume: status %d", resp.StatusCode)
	}
}

// killComponent kills a program and waits until the cluster is whole again.
func (e *env) killComponent(name string) {
	e.t.Helper()
	find := func() cluster.ComponentStatus {
		st := e.status()
		i := slices.IndexFunc(st.Components, func(c cluster.ComponentStatus) bool { return c.Name == name })
		if i < 0 {
			e.t.Fatalf("there is no component %s", name)
		}
		return st.Components[i]
	}
	before := find()
	e.kill(before.PID)
	began := time.Now()
	e.eventually(30*time.Second, func() string {
		if now := find(); !now.Ready || now.PID == before.PID {
			return fmt.Sprintf("%s is %+v", name, now)
		}
		if st := e.status(); st.Phase != cluster.PhaseReady {
			return "the cluster is " + string(st.Phase) + ": " + st.Message
		}
		return ""
	})
	e.t.Logf("%s was back after %v", name, time.Since(began).Round(time.Millisecond))
}

func (e *env) kill(pid int) {
	e.t.Helper()
	if pid <= 1 {
		e.t.Fatalf("%d is not a process to kill", pid)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
		e.t.Fatal(err)
	}
}

// processes lists the cluster's processes: those in the node's namespace and
// those in the cluster's control groups.
func (e *env) processes() []int {
	e.t.Helper()
	var out []int
	node, err := os.Stat(e.l.NetNS())
	entries, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range entries {
		pid, convErr := strconv.Atoi(filepath.Base(dir))
		if convErr != nil {
			continue
		}
		if _, err := (proc.Table{}).Identify(pid); err != nil {
			continue // it is gone, but its parent has not looked yet
		}
		if ns, statErr := os.Stat(filepath.Join(dir, "ns/net")); err == nil && statErr == nil && os.SameFile(ns, node) {
			out = append(out, pid)
			continue
		}
		if groups, readErr := os.ReadFile(filepath.Join(dir, "cgroup")); readErr == nil && strings.Contains(string(groups), "/"+e.l.ID) {
			out = append(out, pid)
		}
	}
	return out
}

func (e *env) shimSockets() []string {
	e.t.Helper()
	var sockets []string
	// The list is brought up to date every few seconds.
	e.eventually(15*time.Second, func() string {
		b, err := os.ReadFile(e.l.In("shims.json"))
		if err == nil {
			err = json.Unmarshal(b, &sockets)
		}
		if err != nil || len(sockets) == 0 {
			return fmt.Sprintf("shims: %q, %v", b, err)
		}
		return ""
	})
	return sockets
}

func (e *env) file(name string) string {
	e.t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		e.t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// nothingLeft looks everywhere that a cluster leaves traces.
func (e *env) nothingLeft(sockets []string) {
	e.t.Helper()
	if pids := e.processes(); len(pids) > 0 {
		e.t.Errorf("processes are left: %v", pids)
	}
	if mounts := e.file("/proc/self/mountinfo"); strings.Contains(mounts, e.l.State) || strings.Contains(mounts, e.l.ID) {
		e.t.Error("mounts are left")
	}
	gone := append([]string{e.l.State, e.l.NetNS(), filepath.Join("/sys/class/net", e.l.Veth())}, sockets...)
	for _, pattern := range []string{"/sys/fs/cgroup/" + e.l.ID, "/sys/fs/cgroup/*/" + e.l.ID, "/var/lib/cni/results/" + e.l.ID + "-*", "/run/slipway-devcluster/" + e.l.ID} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			e.t.Fatal(err)
		}
		gone = append(gone, found...)
	}
	for _, name := range gone {
		if _, err := os.Lstat(name); !os.IsNotExist(err) {
			e.t.Errorf("%s is left (%v)", name, err)
		}
	}
	links, _ := filepath.Glob("/var/log/containers/*")
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, e.l.State+"/") {
			e.t.Errorf("%s is left", link)
		}
	}
	if routes := e.file("/proc/net/route"); strings.Contains(routes, e.l.Veth()) {
		e.t.Error("routes are left")
	}
	if out, err := exec.CommandContext(e.ctx(), "nft", "list", "tables").Output(); err != nil || strings.Contains(string(out), e.l.ID) {
		e.t.Errorf("firewall tables: %s, %v", out, err)
	}
}
