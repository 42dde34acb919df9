// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/slipway-dev/slipway/pkg/controller/agenttemplate"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

func TestAgentOptions(t *testing.T) {
	tests := map[string]struct {
		args []string
		says string
	}{
		"Defaults": {},
		"All": {args: []string{"--agent-jenkins-image=a:1", "--agent-payload", "--agent-restricted", "--agent-service-account=ci", "--agent-dns-policy=Default",
			"--agent-active-deadline=1h", "--agent-default-cpu-limit=2", "--agent-default-memory-limit=2Gi", "--jenkins-agent-user=u"}},
		"DNS":      {args: []string{"--agent-dns-policy=None"}, says: "--agent-dns-policy"},
		"Limit":    {args: []string{"--agent-default-memory-limit=lots"}, says: "--agent-default-memory-limit"},
		"NoLimit":  {args: []string{"--agent-default-cpu-limit=0"}, says: "--agent-default-cpu-limit"},
		"Negative": {args: []string{"--agent-active-deadline=-1h"}, says: "negative"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var o AgentOptions
			flags := pflag.NewFlagSet("x", pflag.ContinueOnError)
			o.AddFlags(flags)
			if err := flags.Parse(tt.args); err != nil {
				t.Fatal(err)
			}
			err := o.Validate()
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
		})
	}
	o := AgentOptions{Image: "a:1", Payload: true, Restricted: true, ServiceAccount: "ci", DNSPolicy: "Default", ActiveDeadline: time.Hour, DefaultMemoryLimit: "2Gi"}
	want := agenttemplate.Options{AgentImage: "a:1", Payload: true, Restricted: true, ServiceAccount: "ci", DNSPolicy: corev1.DNSDefault, ActiveDeadline: time.Hour,
		Namespace: "kubesphere-devops-worker", RunAsUser: new(int64(5)),
		DefaultResources: &corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("2Gi")}}}
	if diff := cmp.Diff(want, o.Templates(agenttemplate.Options{AgentImage: "b:1", RunAsUser: new(int64(5))})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// fakeTemplates is what Jenkins has of templates.
type fakeTemplates struct {
	ensured   jenkins.Template
	restarted func()
}

func (f *fakeTemplates) EnsureTemplate(_ context.Context, _ string, t jenkins.Template) error {
	f.ensured = t
	return nil
}
func (f *fakeTemplates) DeleteTemplate(context.Context, string, string) error { return nil }
func (f *fakeTemplates) LabelExists(context.Context, string) (bool, error)    { return false, nil }
func (f *fakeTemplates) OnRestart(restarted func()) (stop func()) {
	f.restarted = restarted
	return func() {}
}

func TestTemplateStore(t *testing.T) {
	fake := &fakeTemplates{}
	store := templateStore{jenkins: fake}
	for keep, want := range map[time.Duration]jenkins.PodRetention{0: jenkins.RetentionDefault, time.Minute: jenkins.RetentionAlways} {
		if err := store.EnsureTemplate(t.Context(), agenttemplate.Template{ID: "x", Keep: keep}); err != nil {
			t.Fatal(err)
		}
		if fake.ensured.Retention != want {
			t.Errorf("kept for %s: retention %q, want %q", keep, fake.ensured.Retention, want)
		}
	}
	told := false
	store.OnRestart(func() { told = true })
	fake.restarted()
	if !told {
		t.Error("a restart is not told")
	}
}
