// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/slipway-dev/slipway/pkg/testing/envtest"
)

func TestMain(m *testing.M) { os.Exit(envtest.Main(m)) }

// log keeps what is logged.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// forbidden gives the lines that tell of a missing right.
func (l *log) forbidden() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lines []string
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, "forbidden") {
			lines = append(lines, line)
		}
	}
	return lines
}

// userWithRoles gives a kubeconfig of a user who has what the generated roles and the chart's role for the leader give, and
// nothing else.
func userWithRoles(t *testing.T, admin client.Client, system, worker string) string {
	t.Helper()
	const user = "slipway-controllers"
	bind := func(namespace, kind, name string) {
		t.Helper()
		ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: name}
		subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}}
		var binding client.Object = &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: ref, Subjects: subjects}
		if namespace != "" {
			binding = &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, RoleRef: ref, Subjects: subjects}
		}
		if err := admin.Create(t.Context(), binding); err != nil {
			t.Fatal(err)
		}
	}
	manifest, err := os.ReadFile("../../config/rbac/controller-manager/role.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for document := range strings.SplitSeq(string(manifest), "\n---\n") {
		role := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(strings.TrimPrefix(document, "---\n")), &role.Object); err != nil {
			t.Fatal(err)
		}
		namespace := ""
		if role.GetKind() == "Role" {
			namespace = worker
			role.SetNamespace(worker)
		}
		if err := admin.Create(t.Context(), role); err != nil {
			t.Fatal(err)
		}
		bind(namespace, role.GetKind(), role.GetName())
	}
	// As templates/rbac.yaml of the chart has it.
	lease := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: system, Name: "slipway-leader-election"},
		Rules: []rbacv1.PolicyRule{{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"get", "create", "update"}}}}
	if err := admin.Create(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	bind(system, "Role", lease.Name)

	rest := envtest.User(t, user)
	kubeconfig := clientcmdapi.NewConfig()
	kubeconfig.Clusters["c"] = &clientcmdapi.Cluster{Server: rest.Host, CertificateAuthorityData: rest.CAData}
	kubeconfig.AuthInfos["u"] = &clientcmdapi.AuthInfo{ClientCertificateData: rest.CertData, ClientKeyData: rest.KeyData}
	kubeconfig.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	kubeconfig.CurrentContext = "x"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*kubeconfig, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestRights: the roles that are installed are enough for the controllers to begin their work on each kind. Jenkins is away.
func TestRights(t *testing.T) {
	admin := envtest.Client(t)
	system, worker, team := envtest.Namespace(t), envtest.Namespace(t), envtest.Namespace(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("s", 40)), 0o600); err != nil {
		t.Fatal(err)
	}
	said := &log{}
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	for name, value := range map[string]string{"logtostderr": "false", "stderrthreshold": "FATAL"} {
		if err := flags.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	klog.SetOutput(said)

	options := NewOptions()
	options.Kubeconfig = userWithRoles(t, admin, system, worker)
	options.SystemNamespace, options.WorkerNamespace = system, worker
	options.MetricsAddress, options.HealthAddress = "0", "0"
	options.JobTokenKeyFile, options.AgentImage = secret, "agent:1"
	options.Backends.JenkinsURL, options.Backends.JenkinsTokenFile = "http://127.0.0.1:1", secret
	options.Git.CacheDir = t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, options) }()

	project := "rights-project"
	objects := []*unstructured.Unstructured{
		object("devops.kubesphere.io/v1alpha3", "DevOpsProject", "", project, map[string]any{}),
		object("devops.kubesphere.io/v1alpha3", "Pipeline", team, "build", map[string]any{"type": "pipeline", "pipeline": map[string]any{"jenkinsfile": "pipeline {}"}}),
		object("devops.kubesphere.io/v1alpha3", "GitRepository", team, "app", map[string]any{"provider": "git", "url": "https://127.0.0.1:1/app.git"}),
		object("devcontainer.devstar.cn/v1", "DevcontainerApp", team, "studio", map[string]any{"statefulset": map[string]any{"image": "image:1"}}),
	}
	for _, o := range objects {
		if err := admin.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	gomega.RegisterTestingT(t)
	for _, o := range objects {
		gomega.Eventually(func() any {
			if err := admin.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
				return err
			}
			return o.Object["status"]
		}, 3*time.Minute, 100*time.Millisecond).ShouldNot(gomega.BeNil(), o.GetKind())
	}
	statefulSet := object("apps/v1", "StatefulSet", team, "studio", nil)
	gomega.Eventually(func() error { return admin.Get(t.Context(), client.ObjectKeyFromObject(statefulSet), statefulSet) }, time.Minute).Should(gomega.Succeed())
	namespace := object("v1", "Namespace", "", project, nil)
	gomega.Eventually(func() error { return admin.Get(t.Context(), client.ObjectKeyFromObject(namespace), namespace) }, time.Minute).Should(gomega.Succeed())
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	klog.Flush()
	for _, line := range said.forbidden() {
		t.Errorf("a right is missing: %s", line)
	}
}

func object(apiVersion, kind, namespace, name string, spec map[string]any) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind}}
	o.SetNamespace(namespace)
	o.SetName(name)
	if spec != nil {
		o.Object["spec"] = spec
	}
	return o
}
