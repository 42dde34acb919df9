// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/index"
	scmhook "github.com/slipway-dev/slipway/pkg/scm/hook"
)

// TestKubeSCMWebhooks: with the rights of the manifest, an event finds the pipelines of all namespaces by
// the fields of the cache, is checked with the Secret of a pipeline, and becomes a scan and one run.
func TestKubeSCMWebhooks(t *testing.T) {
	k := newKube(t)
	const own = "the-secret-of-one-pipeline"
	address := "https://git.example.test/" + k.namespace + "/app"
	k.create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: k.namespace, Name: "hook"}, Type: devopsv1alpha3.SecretTypeSecretText, Data: map[string][]byte{"secret": []byte(own)}})
	multi := &devopsv1alpha3.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: k.namespace, Name: "multi"}, Spec: devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.MultiBranchPipelineType,
		MultiBranchPipeline: &devopsv1alpha3.MultiBranchPipeline{SourceType: "git", GitSource: &devopsv1alpha3.GitSource{URL: address + ".git"}}}}
	plain := &devopsv1alpha3.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: k.namespace, Name: "plain", Annotations: map[string]string{index.SCMAnnotation: address, scmhook.SecretAnnotation: "hook"}},
		Spec: devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.NoScmPipelineType, Pipeline: &devopsv1alpha3.NoScmPipeline{Jenkinsfile: "pipeline { agent any }"}}}
	k.create(t, multi)
	k.create(t, plain)
	send := func(secret, delivery string) int {
		body := fmt.Sprintf(`{"ref":"refs/heads/main","before":%q,"after":%q,"repository":{"full_name":"x/y","clone_url":%q}}`, strings.Repeat("a", 40), strings.Repeat("b", 40), address)
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(body))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, k.base+"/v1alpha3/webhooks/scm", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("X-GitHub-Event", "push")
		req.Header.Set("X-GitHub-Delivery", delivery)
		req.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	runs := func() int {
		list := &devopsv1alpha3.PipelineRunList{}
		_ = k.admin.List(context.WithoutCancel(t.Context()), list, client.InNamespace(k.namespace))
		return len(list.Items)
	}
	g := gomega.NewWithT(t)
	// The cache learns of the pipeline in its own time; until then nobody's secret fits.
	g.Eventually(func() int { return send(own, "1") }, startTimeout).Should(gomega.Equal(http.StatusAccepted))
	g.Eventually(runs, startTimeout).Should(gomega.Equal(1))
	if code := send("no-secret-of-anybody", "2"); code != http.StatusUnauthorized {
		t.Errorf("a wrong secret: %d", code)
	}
	scanned := func() string {
		if code := send(scmSecret, "3"); code != http.StatusAccepted {
			return ""
		}
		p := &devopsv1alpha3.Pipeline{}
		_ = k.admin.Get(context.WithoutCancel(t.Context()), client.ObjectKeyFromObject(multi), p)
		return p.Annotations[devopsv1alpha3.PipelineRequestToScanAnnotation]
	}
	g.Eventually(scanned, startTimeout).ShouldNot(gomega.BeEmpty())
	if n := runs(); n != 1 {
		t.Errorf("%d runs of one event", n)
	}
}
