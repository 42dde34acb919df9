// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devopsproject

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// passes makes two passes: the first makes the namespace.
func (b *bench) passes(name string) {
	b.Helper()
	for range 2 {
		_, _ = b.pass(name)
	}
}

func marked(uid string) string {
	p := project("shop", "")
	p.UID = "x"
	return strings.Replace(markOf(p), "=x]", "="+uid+"]", 1)
}

func TestFolderIsTakenOverOnlyIfItIsOnesOwn(t *testing.T) {
	own := marked("uid-shop")
	tests := map[string]struct {
		reason      string
		name        string // of the folder in Jenkins
		description string
		noFolder    bool
		adopt       string
		want        string
		after       string // description afterwards
		deleted     bool   // with the project
	}{
		"New":          {reason: "", want: "True/Synced/successful", after: own, deleted: true},
		"Own":          {reason: "made by a pass that could not save it", name: "shop", description: own, want: "True/Synced/successful", after: own, deleted: true},
		"Foreign":      {reason: "made by somebody in Jenkins", name: "shop", description: "prod jobs", want: "False/FolderConflict/failed", after: "prod jobs"},
		"NoText":       {reason: "made by the form, which takes no description", name: "shop", want: "False/FolderConflict/failed"},
		"OtherCluster": {reason: "two clusters share a Jenkins", name: "shop", description: marked("uid-2"), want: "False/FolderConflict/failed", after: marked("uid-2")},
		"OtherCase":    {reason: "Jenkins' root does not tell case", name: "Shop", description: own, want: "False/FolderConflict/failed", after: own},
		"Job":          {reason: "a job at the root", noFolder: true, want: "False/FolderConflict/failed"},
		"Adopted":      {reason: "somebody says so", name: "shop", description: "prod jobs\nline 2", adopt: "true", want: "True/Synced/successful", after: "prod jobs\nline 2\n" + own, deleted: true},
		"Restored":     {reason: "the mark of the former project is replaced", name: "shop", description: "a\n" + marked("uid-2") + "\nb", adopt: "true", want: "True/Synced/successful", after: "a\nb\n" + own, deleted: true},
		"NotAdopted":   {reason: "only true counts", name: "shop", description: "d", adopt: "yes", want: "False/FolderConflict/failed", after: "d"},
		"FakedMark":    {reason: "the mark of a prefix is not the project's", name: "shop", description: marked("uid-shop2"), want: "False/FolderConflict/failed", after: marked("uid-shop2")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := project("shop", "")
			if tt.adopt != "" {
				p.Annotations = map[string]string{devopsv1alpha3.AdoptFolderAnnotation: tt.adopt}
			}
			b := newBench(t, p)
			if tt.name != "" {
				b.folders.names[tt.name] = tt.description
			}
			if tt.noFolder {
				b.folders.noFolder = "shop"
			}
			b.passes("shop")
			result, err := b.pass("shop")
			got := b.get("shop")
			if ready(got) != tt.want || err != nil {
				t.Errorf("%s: got %s, %v", tt.reason, ready(got), err)
			}
			conflict := strings.Contains(tt.want, "FolderConflict")
			c := meta.FindStatusCondition(got.Status.Conditions, devopsv1alpha3.ConditionFolderReady)
			if c == nil || (c.Status == metav1.ConditionFalse) != conflict || (result.RequeueAfter > 0) != conflict {
				t.Errorf("condition %+v, next look in %s", c, result.RequeueAfter)
			}
			where := tt.name
			if where == "" {
				where = "shop"
			}
			if diff := cmp.Diff(tt.after, b.folders.names[where]); diff != "" {
				t.Errorf("%s: %s", tt.reason, diff)
			}
			if err := b.cluster.Delete(t.Context(), got); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				_, _ = b.pass("shop")
			}
			if deleted := len(b.folders.names) == 0; deleted != tt.deleted && !tt.noFolder {
				t.Errorf("%s: after the deletion of the project the folders are %v", tt.reason, b.folders.names)
			}
			if tt.noFolder && strings.Contains(strings.Join(b.folders.calls, " "), "delete") {
				t.Error("the job at the root was deleted")
			}
		})
	}
}

func TestFolderLife(t *testing.T) {
	b := newBench(t, project("shop", ""))
	b.folders.lost = true
	b.passes("shop") // the creation got no answer
	b.passes("shop")
	if ready(b.get("shop")) != "True/Synced/successful" {
		t.Fatalf("after a creation without an answer: %s", ready(b.get("shop")))
	}
	b.folders.names["shop"] = "my own words"
	b.passes("shop")
	if got := b.folders.names["shop"]; ready(b.get("shop")) != "True/Synced/successful" || ownerOf(got) != "uid-shop" || !strings.HasPrefix(got, "my own words\n") {
		t.Errorf("a mark that was edited away: %s, %q", ready(b.get("shop")), got)
	}
	delete(b.folders.names, "shop")
	b.passes("shop")
	if !b.folders.has("shop") {
		t.Error("a folder that was deleted in Jenkins does not come back")
	}
	b.folders.names["shop"] = marked("uid-2")
	b.passes("shop")
	if got := ready(b.get("shop")); got != "False/FolderConflict/failed" || ownerOf(b.folders.names["shop"]) != "uid-2" {
		t.Errorf("a folder that another cluster took over: %s", got)
	}
	b.folders.err = jenkins.ErrUnavailable
	b.passes("shop")
	if c := meta.FindStatusCondition(b.get("shop").Status.Conditions, devopsv1alpha3.ConditionFolderReady); c == nil || c.Status != metav1.ConditionFalse {
		t.Errorf("an outage makes the folder ours: %+v", c)
	}
}

func TestProjectOfAVersionWithoutMarksKeepsItsFolder(t *testing.T) {
	p := project("shop", "")
	p.Status.AdminNamespace = "shop"
	p.Status.Conditions = []metav1.Condition{{Type: devopsv1alpha3.ConditionReady, Status: metav1.ConditionTrue, Reason: "Synced", LastTransitionTime: metav1.Now()}}
	b := newBench(t, p)
	b.folders.names["shop"] = ""
	b.passes("shop")
	if ready(b.get("shop")) != "True/Synced/successful" || ownerOf(b.folders.names["shop"]) != "uid-shop" {
		t.Errorf("got %s, folder %q", ready(b.get("shop")), b.folders.names["shop"])
	}
}

func TestPipelineWakesTheProjectOfAMissingFolder(t *testing.T) {
	p := &devopsv1alpha3.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "build"}}
	if got := ofPipeline(t.Context(), p); got != nil {
		t.Errorf("a pipeline in order wakes %v", got)
	}
	p.Status.Conditions = []metav1.Condition{{Type: devopsv1alpha3.ConditionSynced, Reason: devopsv1alpha3.ReasonFolderMissing}}
	if got := ofPipeline(t.Context(), p); len(got) != 1 || got[0].Name != "shop" || got[0].Namespace != "" {
		t.Errorf("woken: %v", got)
	}
}
