// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/reconcile"
	"github.com/slipway-dev/slipway/pkg/testing/envtest"
)

// TestLife follows one credential of each kind from its making over a change to its end.
func TestLife(t *testing.T) {
	l := startLive(t)
	key := string(privateKey(t, ""))
	l.create("basic", devopsv1alpha3.SecretTypeBasicAuth, map[string]string{"username": "bob", "password": "pässwörd 1 & \"quotes\""})
	l.create("deploy-key", devopsv1alpha3.SecretTypeSSHAuth, map[string]string{"username": "git", "private_key": key})
	l.create("token.v1", devopsv1alpha3.SecretTypeSecretText, map[string]string{"secret": "s3cr3t-token"})
	l.create("cluster", devopsv1alpha3.SecretTypeKubeconfig, map[string]string{"content": kubeconfig})
	l.synced("basic", "deploy-key", "token.v1", "cluster")
	if diff := cmp.Diff([]string{"basic", "cluster", "deploy-key", "token.v1"}, l.jen.ids(l.ns)); diff != "" {
		t.Errorf("entries in Jenkins:\n%s", diff)
	}
	if form := l.jen.lastForm("basic"); form["username"] != "bob" || form["password"] != "pässwörd 1 & \"quotes\"" {
		t.Errorf("Jenkins got %v", form)
	}
	if source, _ := l.jen.lastForm("deploy-key")["privateKeySource"].(map[string]any); source["privateKey"] != key {
		t.Error("Jenkins got another key")
	}
	if form := l.jen.lastForm("cluster"); form["secret"] != kubeconfig {
		t.Errorf("Jenkins got %v", form)
	}
	secret := l.secret("basic")
	if !strings.Contains(fmt.Sprint(secret.Finalizers), "finalizers.kubesphere.io/credential") || len(secret.Annotations["credential.devops.kubesphere.io/datahash"]) != 64 ||
		secret.Annotations["credential.devops.kubesphere.io/synctime"] == "" || secret.Annotations["credential.devops.kubesphere.io/autosync"] != "true" {
		t.Errorf("the Secret says %+v", secret.ObjectMeta)
	}

	// A write of the controller itself, or of somebody who changes no content, costs no call.
	l.jen.forgetCalls()
	l.change("basic", func(s *corev1.Secret) { s.Labels = map[string]string{"a": "b"} })
	l.change("basic", func(s *corev1.Secret) { s.Data["password"] = []byte("second") })
	l.Eventually(func() any { return l.jen.lastForm("basic")["password"] }).Should(gomega.Equal("second"))
	l.change("token.v1", func(s *corev1.Secret) {
		s.Annotations[devopsv1alpha3.CredentialDescriptionAnnotation] = "what it is for\n[slipway:0123456789abcdef]"
	})
	l.Eventually(func() any { return l.jen.lastForm("token.v1")["description"] }).Should(gomega.MatchRegexp(
		`^what it is for \[slipway:0123456789abcdef\] \[slipway:[0-9a-f]{16}\]$`))
	if n := l.jen.count("updateSubmit"); n != 2 {
		t.Errorf("%d updates, want 2: %v", n, l.jen.calls)
	}
	l.synced("basic", "token.v1")

	l.delete("basic")
	// Jenkins has lost this one already: its 404 is no failure.
	if err := l.jen.DeleteCredential(t.Context(), l.ns, "cluster"); err != nil {
		t.Fatal(err)
	}
	l.delete("cluster")
	l.Eventually(l.status("basic")).Should(gomega.Equal("gone"))
	l.Eventually(l.status("cluster")).Should(gomega.Equal("gone"))
	if diff := cmp.Diff([]string{"deploy-key", "token.v1"}, l.jen.ids(l.ns)); diff != "" {
		t.Errorf("entries in Jenkins after the deletion:\n%s", diff)
	}
	for _, event := range l.events.events() {
		if strings.Contains(event, "s3cr3t") || strings.Contains(event, "second") {
			t.Errorf("an event holds a secret: %s", event)
		}
	}
}

func TestOnlyProjects(t *testing.T) {
	l := startLive(t)
	other := envtest.Namespace(t)
	taken := envtest.Namespace(t)
	// A project whose namespace is somebody else's, as its name was taken.
	makeProject(t, l.Client, taken, "")
	l.r.namespaces = nil
	second := &live{t: t, WithT: l.WithT, Client: l.Client, ns: l.ns, jen: newServer(t), events: l.events}
	for _, ns := range []string{other, taken, l.ns} {
		if err := second.jen.EnsureFolder(t.Context(), ns); err != nil {
			t.Fatal(err)
		}
	}
	second.start(func(r *Reconciler) { r.namespaces = []string{l.ns, other, taken} })
	for _, ns := range []string{other, taken} {
		if err := l.Create(t.Context(), newSecret(ns, "x", devopsv1alpha3.SecretTypeSecretText, map[string]string{"secret": "v"})); err != nil {
			t.Fatal(err)
		}
	}
	l.create("opaque", corev1.SecretTypeOpaque, map[string]string{"secret": "v"})
	l.text("mine", "v")
	l.synced("mine")
	second.Eventually(func() []string { return second.jen.ids(l.ns) }).Should(gomega.Equal([]string{"mine"}))
	for _, ns := range []string{other, taken} {
		s := &corev1.Secret{}
		if err := l.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "x"}, s); err != nil || len(s.Finalizers) > 0 || len(s.Annotations) > 0 {
			t.Errorf("a Secret of no project was touched: %v, %+v", err, s.ObjectMeta)
		}
		if ids := second.jen.ids(ns); len(ids) > 0 {
			t.Errorf("folder %s got %v", ns, ids)
		}
		if err := l.Delete(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
}

// TestConflict: an entry that somebody else made is neither replaced nor deleted until its Secret says so.
func TestConflict(t *testing.T) {
	l := startLive(t)
	l.jen.foreign(l.ns, "token")
	l.jen.foreign(l.ns, "other")
	l.text("token", "mine")
	l.text("other", "mine")
	l.Eventually(l.status("token")).Should(gomega.Equal("failed"))
	l.Eventually(l.status("other")).Should(gomega.Equal("failed"))
	if msg := l.secret("token").Annotations["credential.devops.kubesphere.io/syncmsg"]; !strings.Contains(msg, "not made by Slipway") || !strings.Contains(msg, "autosync") {
		t.Errorf("message %q", msg)
	}
	if n := l.jen.count("updateSubmit"); n != 0 {
		t.Errorf("the entry was replaced %d times", n)
	}
	l.change("token", func(s *corev1.Secret) { s.Annotations["credential.devops.kubesphere.io/autosync"] = "true" })
	l.synced("token")
	if form := l.jen.lastForm("token"); form["secret"] != "mine" {
		t.Errorf("Jenkins got %v", form)
	}
	l.delete("other")
	l.Eventually(l.status("other")).Should(gomega.Equal("gone"))
	l.delete("token")
	l.Eventually(l.status("token")).Should(gomega.Equal("gone"))
	if diff := cmp.Diff([]string{"other"}, l.jen.ids(l.ns)); diff != "" {
		t.Errorf("entries in Jenkins:\n%s", diff)
	}
}

// TestDrift: what Jenkins lost or what was changed there is found by one call per folder.
func TestDrift(t *testing.T) {
	l := startLive(t, auditEvery(300*time.Millisecond))
	for i := range 5 {
		l.text(fmt.Sprintf("t%d", i), "value")
	}
	l.synced("t0", "t1", "t2", "t3", "t4")
	l.jen.forgetCalls()
	for range 2 {
		n := l.jen.count("list")
		l.Eventually(func() int { return l.jen.count("list") }).Should(gomega.BeNumerically(">", n))
	}
	if writes := l.jen.count("create") + l.jen.count("updateSubmit") + l.jen.count("api/json"); writes > 0 {
		t.Errorf("%d other calls than lists while all is well", writes)
	}
	if err := l.jen.DeleteCredential(t.Context(), l.ns, "t1"); err != nil {
		t.Fatal(err)
	}
	byHand := jenkins.CredentialEntry{ID: "t3", Description: "changed", Credential: jenkins.SecretText{Secret: "changed"}}
	if err := l.jen.UpdateCredential(t.Context(), l.ns, byHand); err != nil {
		t.Fatal(err)
	}
	l.Eventually(func() string {
		list, err := l.jen.ListCredentials(t.Context(), l.ns)
		if err != nil {
			return err.Error()
		}
		n := 0
		for _, e := range list {
			if markOf(e.Description) != "" {
				n++
			}
		}
		return fmt.Sprint(n)
	}).Should(gomega.Equal("5"))
	if form := l.jen.lastForm("t3"); form["secret"] != "value" {
		t.Errorf("the change by hand stays: %v", form)
	}
	if creates, updates := l.jen.count("create"), l.jen.count("updateSubmit"); creates < 1 || creates > 2 || updates < 2 || updates > 3 {
		// One is by hand. A folder that is listed just while an entry is mended may have it mended once more.
		t.Errorf("%d creations and %d updates, want 1 and 2", creates, updates)
	}
}

// TestIdle: with nothing to do, folders are asked for at the pace that the options say, however many credentials they have.
func TestIdle(t *testing.T) {
	l := startLive(t, func(r *Reconciler) { r.pace = pace{slow: time.Hour} })
	for i := range 20 {
		l.text(fmt.Sprintf("t%02d", i), "value")
	}
	for i := range 20 {
		l.synced(fmt.Sprintf("t%02d", i))
	}
	l.jen.forgetCalls()
	l.start(func(r *Reconciler) { r.pace = pace{slow: time.Hour} })
	l.text("new", "value")
	l.synced("new")
	if calls := l.jen.count(""); calls > 4 { // a list and a creation, by two controllers here
		t.Errorf("a restart and one new credential cost %d calls: %v", calls, l.jen.calls)
	}
}

// TestLostAnswers: Jenkins takes a call and the answer does not come. Nothing is there twice and nothing is left behind.
func TestLostAnswers(t *testing.T) {
	l := startLive(t)
	var lost atomic.Int32
	l.jen.setFault(func(call string) fault {
		if strings.HasPrefix(call, "create") || strings.HasPrefix(call, "updateSubmit") || strings.HasPrefix(call, "doDelete") {
			if lost.Add(1)%2 == 1 {
				return lose
			}
		}
		return noFault
	})
	l.text("a", "one")
	l.synced("a")
	l.change("a", func(s *corev1.Secret) { s.Data["secret"] = []byte("two") })
	l.Eventually(func() any { return l.jen.lastForm("a")["secret"] }).Should(gomega.Equal("two"))
	l.Eventually(func() bool {
		s := l.secret("a")
		c, err := newContent(s, l.r.Options)
		return err == nil && s.Annotations[devopsv1alpha3.CredentialDataHashAnnotation] == c.hash
	}).Should(gomega.BeTrue())
	if diff := cmp.Diff([]string{"a"}, l.jen.ids(l.ns)); diff != "" {
		t.Error(diff)
	}
	l.delete("a")
	l.Eventually(l.status("a")).Should(gomega.Equal("gone"))
	if ids := l.jen.ids(l.ns); len(ids) > 0 {
		t.Errorf("left in Jenkins: %v", ids)
	}
	if n := l.jen.count("create"); n != 1 {
		t.Errorf("%d creations of one credential", n)
	}
}

// TestOutage: a Jenkins that is away keeps nothing from coming later, and makes no storm of calls.
func TestOutage(t *testing.T) {
	l := startLive(t)
	l.text("before", "v")
	l.synced("before")
	l.jen.setFault(func(string) fault { return refuse })
	l.jen.forgetCalls()
	for i := range 50 {
		l.text(fmt.Sprintf("t%02d", i), "value")
	}
	l.delete("before")
	l.Eventually(l.status("t49")).Should(gomega.Equal("failed"))
	if s := l.secret("t49"); !strings.Contains(s.Annotations[devopsv1alpha3.CredentialSyncMsgAnnotation], "503") {
		t.Errorf("annotations %v", s.Annotations)
	}
	if s := l.secret("before"); s == nil || len(s.Finalizers) != 1 {
		t.Error("the Secret went, its entry did not")
	}
	if n := l.jen.count(""); n > 10 {
		t.Errorf("51 credentials made %d calls to a Jenkins that is away", n)
	}
	l.jen.setFault(nil)
	for i := range 50 {
		l.synced(fmt.Sprintf("t%02d", i))
	}
	l.Eventually(l.status("before")).Should(gomega.Equal("gone"))
	if ids := l.jen.ids(l.ns); len(ids) != 50 {
		t.Errorf("%d entries in Jenkins: %v", len(ids), ids)
	}
}

// TestMalformedLive: what cannot work is told on the Secret and not sent; once mended it goes.
func TestMalformedLive(t *testing.T) {
	l := startLive(t)
	const hidden = "do-not-show-this"
	l.create("key", devopsv1alpha3.SecretTypeSSHAuth, map[string]string{"username": "git", "private_key": "-----BEGIN RSA PRIVATE KEY-----\n" + hidden + "\n-----END RSA PRIVATE KEY-----\n"})
	l.Eventually(l.status("key")).Should(gomega.Equal("failed"))
	s := l.secret("key")
	if !strings.Contains(s.Annotations[devopsv1alpha3.CredentialSyncMsgAnnotation], "private_key") {
		t.Errorf("annotations %v", s.Annotations)
	}
	if text := annotations(s) + fmt.Sprint(l.events.events()); strings.Contains(text, hidden) {
		t.Errorf("the value is shown: %s", text)
	}
	l.Eventually(func() string { return fmt.Sprint(l.events.events()) }).Should(gomega.ContainSubstring("Warning InvalidCredential"))
	if ids := l.jen.ids(l.ns); len(ids) > 0 {
		t.Errorf("Jenkins got %v", ids)
	}
	l.change("key", func(s *corev1.Secret) { s.Data["private_key"] = privateKey(t, "") })
	l.synced("key")
	if msg, there := l.secret("key").Annotations[devopsv1alpha3.CredentialSyncMsgAnnotation]; there {
		t.Errorf("the old message stays: %s", msg)
	}
}

// TestThousand: many credentials of one project at once.
func TestThousand(t *testing.T) {
	const n = 1000
	l := startLive(t, func(r *Reconciler) { r.pace = pace{slow: time.Hour} })
	begin := time.Now()
	for i := range n {
		l.text(fmt.Sprintf("t%04d", i), fmt.Sprint("value", i))
	}
	l.Eventually(func() int {
		var list corev1.SecretList
		if err := l.List(t.Context(), &list, client.InNamespace(l.ns)); err != nil {
			t.Error(err)
		}
		done := 0
		for i := range list.Items {
			if list.Items[i].Annotations[devopsv1alpha3.CredentialSyncStatusAnnotation] == "successful" {
				done++
			}
		}
		return done
	}).WithTimeout(5 * time.Minute).WithPolling(200 * time.Millisecond).Should(gomega.Equal(n))
	took := time.Since(begin)
	if ids := l.jen.ids(l.ns); len(ids) != n {
		t.Errorf("%d entries in Jenkins", len(ids))
	}
	lists, creates, gets := l.jen.count("list"), l.jen.count("create"), l.jen.count("api/json")
	t.Logf("%d credentials in %s: %d lists, %d creations, %d reads", n, took.Round(time.Millisecond), lists, creates, gets)
	// A call that got no answer in time is made again.
	if most := n + n/20; creates < n || creates > most || gets > most+n/20 || lists > 2+int(took/maxAge)+creates-n {
		t.Errorf("%d lists, %d creations, %d reads", lists, creates, gets)
	}
}

// TestProjectComesLater: credentials wait for their project.
func TestProjectComesLater(t *testing.T) {
	l := startLive(t)
	project := &devopsv1alpha3.DevOpsProject{}
	if err := l.Get(t.Context(), client.ObjectKey{Name: l.ns}, project); err != nil {
		t.Fatal(err)
	}
	project.Status.Conditions[0].Status = metav1.ConditionFalse
	project.Status.Conditions[0].Message = "the folder is not there yet"
	if err := l.Status().Update(t.Context(), project); err != nil {
		t.Fatal(err)
	}
	l.Eventually(func() bool {
		p := &devopsv1alpha3.DevOpsProject{}
		return l.r.Client.Get(t.Context(), client.ObjectKey{Name: l.ns}, p) == nil && !projectReady(p)
	}).Should(gomega.BeTrue())
	l.text("early", "v")
	l.Eventually(l.status("early")).Should(gomega.Equal("pending"))
	if msg := l.secret("early").Annotations[devopsv1alpha3.CredentialSyncMsgAnnotation]; !strings.Contains(msg, "not there yet") {
		t.Errorf("message %q", msg)
	}
	project.Status.Conditions[0].Status = metav1.ConditionTrue
	if err := l.Status().Update(t.Context(), project); err != nil {
		t.Fatal(err)
	}
	l.synced("early")
}

// TestFolderOfOthers: once the folder of the project's name turns out to be another's, nothing goes there, not even what went before.
func TestFolderOfOthers(t *testing.T) {
	l := startLive(t)
	l.text("a", "one")
	l.synced("a")
	project := &devopsv1alpha3.DevOpsProject{}
	if err := l.Get(t.Context(), client.ObjectKey{Name: l.ns}, project); err != nil {
		t.Fatal(err)
	}
	// That Jenkins is away now says nothing of whose the folder is.
	project.Status.Conditions[0].Status, project.Status.Conditions[0].Reason = metav1.ConditionFalse, devopsv1alpha3.ReasonJenkinsUnavailable
	reconcile.SetCondition(&project.Status.Conditions, metav1.Condition{Type: devopsv1alpha3.ConditionFolderReady, Status: metav1.ConditionFalse, Reason: devopsv1alpha3.ReasonFolderConflict})
	if err := l.Status().Update(t.Context(), project); err != nil {
		t.Fatal(err)
	}
	l.Eventually(func() bool {
		p := &devopsv1alpha3.DevOpsProject{}
		return l.r.Client.Get(t.Context(), client.ObjectKey{Name: l.ns}, p) == nil && !projectReady(p)
	}).Should(gomega.BeTrue())
	l.jen.forgetCalls()
	l.change("a", func(s *corev1.Secret) { s.Data["secret"] = []byte("two") })
	l.Eventually(l.status("a")).Should(gomega.Equal("pending"))
	l.delete("a")
	l.Eventually(l.status("a")).Should(gomega.Equal("gone"))
	if writes := l.jen.count("updateSubmit") + l.jen.count("create") + l.jen.count("doDelete"); writes > 0 {
		t.Errorf("%d writes to the folder of somebody else: %v", writes, l.jen.calls)
	}
}
