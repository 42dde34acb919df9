// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package history

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/scheme"
)

// desk is a recorder and the Pipeline that it keeps the history of.
type desk struct {
	*testing.T
	kube     client.WithWatch
	recorder *Recorder
	pipeline *devopsv1alpha3.Pipeline
	now      time.Time
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{T: t, kube: fake.NewClientBuilder().WithScheme(scheme.New()).Build(), now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	d.pipeline = &devopsv1alpha3.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: "p", Name: strings.Repeat("long", 40), UID: "uid-1"}}
	d.pipeline.Spec.Pipeline = &devopsv1alpha3.NoScmPipeline{}
	d.recorder = &Recorder{Live: d.kube, Client: d.kube, Now: func() time.Time { return d.now }}
	return d
}

// write changes the Jenkinsfile as the user, or past the API if that is empty, and lets the recorder see it.
func (d *desk) write(user, text string) {
	d.Helper()
	d.now = d.now.Add(time.Minute)
	d.pipeline.Spec.Pipeline.Jenkinsfile = text
	if user != "" {
		Sign(d.pipeline, user, d.now, 0)
	}
	d.record()
}

func (d *desk) record() {
	d.Helper()
	if err := d.recorder.Record(d.Context(), d.pipeline); err != nil {
		d.Fatal(err)
	}
}

func (d *desk) list() []Revision {
	d.Helper()
	list, err := List(d.Context(), d.kube, d.pipeline)
	if err != nil {
		d.Fatal(err)
	}
	return list
}

// authors are the revisions in short, the newest first.
func (d *desk) authors() string {
	var out []string
	for _, r := range d.list() {
		out = append(out, fmt.Sprintf("%d %s", r.Number, r.Author))
	}
	return strings.Join(out, ", ")
}

func TestWhoChangedIt(t *testing.T) {
	d := newDesk(t)
	d.write("", "")
	if got := d.authors(); got != "" {
		t.Errorf("a Jenkinsfile that is not written yet is kept: %s", got)
	}
	d.write("ann", "a")
	d.record()
	d.write("bob", "b")
	d.write("", "c")
	if got := d.authors(); got != "3 "+UnknownAuthor+", 2 bob, 1 ann" {
		t.Errorf("got %s", got)
	}
	d.write("", "b")
	if got := d.authors(); !strings.HasPrefix(got, "4 "+UnknownAuthor) {
		t.Errorf("the note for a text is credited again when somebody else writes the same text: %s", got)
	}
	d.write("ann", "")
	list := d.list()
	if len(list) != 5 || list[0].Author != "ann" || list[0].Bytes != 0 || !list[0].Current || list[1].Current || !list[0].Time.Time.Equal(d.now) {
		t.Errorf("a cleared Jenkinsfile: %+v", list)
	}
	if _, text, err := Get(t.Context(), d.kube, d.pipeline, 3); err != nil || text != "c" {
		t.Errorf("revision 3: %q %v", text, err)
	}
	for _, number := range []int64{0, -1, 6} {
		if _, _, err := Get(t.Context(), d.kube, d.pipeline, number); !errors.Is(err, ErrNotFound) {
			t.Errorf("revision %d: %v", number, err)
		}
	}
}

func TestNoteOfAJSONForm(t *testing.T) {
	d := newDesk(t)
	d.pipeline.Annotations = map[string]string{
		devopsv1alpha3.PipelineJenkinsfileEditModeAnnotation: "json", devopsv1alpha3.PipelineJenkinsfileValueAnnotation: `{"pipeline":{}}`,
	}
	Sign(d.pipeline, "ann", d.now, 0)
	d.pipeline.Annotations[devopsv1alpha3.PipelineJenkinsfileEditModeAnnotation] = ""
	d.pipeline.Spec.Pipeline.Jenkinsfile = "merged"
	other := d.pipeline.DeepCopy()
	Carry(other, `{"another":{}}`)
	if note, _ := noteOf(other); note.Hash == Digest("merged") {
		t.Error("the note for one form counts for another")
	}
	Carry(d.pipeline, `{"pipeline":{}}`)
	d.record()
	if got := d.authors(); got != "1 ann" {
		t.Errorf("got %s", got)
	}
}

func TestNotesThatTellNothing(t *testing.T) {
	for name, note := range map[string]string{
		"no JSON": "ann", "no id": `{"user":"ann","hash":"` + Digest("x") + `"}`, "no user": `{"id":"1","hash":"` + Digest("x") + `"}`,
		"another text": `{"user":"ann","id":"1","hash":"` + Digest("y") + `"}`, "long": `{"user":"` + strings.Repeat("a", 9999) + `","id":"1","hash":"` + Digest("x") + `"}`,
		"a list": `[]`, "wrong types": `{"user":1,"id":2,"hash":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.pipeline.Annotations = map[string]string{devopsv1alpha3.PipelineJenkinsfileAuthorAnnotation: note}
			d.write("", "x")
			if got := d.authors(); got != "1 "+UnknownAuthor {
				t.Errorf("got %s", got)
			}
		})
	}
	d := newDesk(t)
	d.write(strings.Repeat("ü", 300), "x")
	if got := d.list()[0].Author; len(got) > 300 || !strings.HasPrefix(got, "üü") {
		t.Errorf("a long name: %s", got)
	}
}

// TestBounds: the newest fifty are kept, fewer if they are large, and numbers are never used twice.
func TestBounds(t *testing.T) {
	d := newDesk(t)
	for i := range MaxRevisions + 7 {
		d.write("ann", fmt.Sprint("text ", i))
	}
	list := d.list()
	if len(list) != MaxRevisions || list[0].Number != MaxRevisions+7 || list[MaxRevisions-1].Number != 8 {
		t.Errorf("%d revisions, %d to %d", len(list), list[0].Number, list[len(list)-1].Number)
	}
	random := rand.NewChaCha8([32]byte{1})
	noise := func(n int) string {
		b := make([]byte, n)
		_, _ = random.Read(b)
		for i := range b {
			b[i] = ' ' + b[i]%95
		}
		return string(b)
	}
	for range 12 {
		d.write("bob", noise(1<<20))
	}
	list = d.list()
	if len(list) > 8 || list[0].Number != MaxRevisions+19 || list[0].Omitted {
		t.Errorf("%d large revisions, newest %+v", len(list), list[0])
	}
	if _, text, err := Get(t.Context(), d.kube, d.pipeline, list[0].Number); err != nil || text != d.pipeline.Spec.Pipeline.Jenkinsfile {
		t.Errorf("a text of 1 MiB does not come back: %d bytes, %v", len(text), err)
	}
	obj := &appsv1.ControllerRevision{}
	if err := d.kube.Get(t.Context(), client.ObjectKey{Namespace: "p", Name: objectName(d.pipeline, list[0].Number)}, obj); err != nil {
		t.Fatal(err)
	}
	t.Logf("1 MiB of noise takes %d KiB", len(obj.Data.Raw)>>10)
	d.write("bob", noise(1400<<10))
	if newest := d.list()[0]; !newest.Omitted {
		t.Errorf("what Kubernetes does not take: %+v", newest)
	} else if _, _, err := Get(t.Context(), d.kube, d.pipeline, newest.Number); !errors.Is(err, ErrNotKept) {
		t.Errorf("and its text: %v", err)
	}
}

func TestOthersRevisions(t *testing.T) {
	d := newDesk(t)
	d.write("ann", "old")
	old := d.pipeline.DeepCopy()
	d.pipeline.UID = "uid-2"
	d.write("bob", "new")
	if got := d.authors(); got != "1 bob" {
		t.Errorf("the history of a deleted pipeline of the same name: %s", got)
	}
	yes := true
	forged := &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Namespace: "p", Name: objectName(d.pipeline, 7),
		Labels: d.labels(), OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "x", UID: types.UID("other"), Controller: &yes}},
		Annotations: map[string]string{RevisionAnnotation: `{"revision":7}`}}}
	if err := d.kube.Create(t.Context(), forged); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Get(t.Context(), d.kube, d.pipeline, 7); !errors.Is(err, ErrNotFound) || d.authors() != "1 bob" {
		t.Errorf("one of another owner: %v, %s", err, d.authors())
	}
	d.pipeline = old
	if got := d.authors(); got != "1 ann" {
		t.Errorf("got %s", got)
	}
}

func (d *desk) labels() map[string]string {
	list := &appsv1.ControllerRevisionList{}
	if err := d.kube.List(d.Context(), list); err != nil || len(list.Items) == 0 {
		d.Fatal(err)
	}
	return list.Items[0].Labels
}

// TestCrashBetweenTwoCalls: what a pass did not get to do the next one does, and nothing is kept twice.
func TestCrashBetweenTwoCalls(t *testing.T) {
	d := newDesk(t)
	for i := range MaxRevisions {
		d.write("ann", fmt.Sprint(i))
	}
	broken := errors.New("gone")
	d.recorder.Client = interceptor.NewClient(d.kube, interceptor.Funcs{
		Delete: func(context.Context, client.WithWatch, client.Object, ...client.DeleteOption) error { return broken },
	})
	d.pipeline.Spec.Pipeline.Jenkinsfile = "last"
	Sign(d.pipeline, "bob", d.now, 3)
	if err := d.recorder.Record(t.Context(), d.pipeline); !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
	d.recorder.Client = d.kube
	d.record()
	list := d.list()
	if len(list) != MaxRevisions || list[0].Author != "bob" || list[0].RestoredFrom != 3 || list[1].Author != "ann" {
		t.Errorf("%d revisions, newest %+v", len(list), list[:2])
	}
	d.recorder.Client = interceptor.NewClient(d.kube, interceptor.Funcs{
		Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error { return broken },
	})
	d.pipeline.Spec.Pipeline.Jenkinsfile = "newer"
	if err := d.recorder.Record(t.Context(), d.pipeline); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestForgedContent(t *testing.T) {
	for name, data := range map[string]string{"no JSON": "x", "no gzip": `{"jenkinsfile":"aGVsbG8="}`, "nothing": `{}`, "cut off": `{"jenkinsfile":"H4sIAAAAAAAA"}`} {
		if text, err := unpack([]byte(data)); err == nil {
			t.Errorf("%s: %q", name, text)
		}
	}
	bomb, err := pack(strings.Repeat("\x00", maxText+1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unpack(bomb); err == nil || len(bomb) > 100_000 {
		t.Errorf("a bomb of %d bytes: %v", len(bomb), err)
	}
}

func TestDiff(t *testing.T) {
	tests := map[string]struct{ reason, from, to, want string }{
		"Equal":  {"nothing to say", "a\n", "a\n", ""},
		"Change": {"one line with what is around it", "1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n", "--- a\n+++ b\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n"},
		"New":    {"there was none", "", "a\nb\n", "--- a\n+++ b\n@@ -0,0 +1,2 @@\n+a\n+b\n"},
		"Gone":   {"there is none", "a\n", "", "--- a\n+++ b\n@@ -1,1 +0,0 @@\n-a\n"},
		"NoEnd":  {"a missing line feed is a difference", "a\n", "a", "--- a\n+++ b\n@@ -1,1 +1,1 @@\n-a\n+a\n\\ No newline at end of file\n"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, Diff(Side{"a", tc.from}, Side{"b", tc.to})); diff != "" {
				t.Errorf("%s: %s", tc.reason, diff)
			}
		})
	}
}

// TestDiffIsAPatch lets patch make the one text of the other.
func TestDiffIsAPatch(t *testing.T) {
	patch, err := exec.LookPath("patch")
	if err != nil {
		t.Skip("there is no program patch here")
	}
	random := rand.New(rand.NewPCG(1, 2))
	text := func(n int) string {
		var b strings.Builder
		for range random.IntN(n) {
			fmt.Fprintf(&b, "%s%d\n", []string{"line ", "--- ", "+++ ", "@@ -1 +1 @@ ", "", "\\ "}[random.IntN(6)], random.IntN(n))
		}
		if random.IntN(3) == 0 {
			b.WriteString("no end")
		}
		return b.String()
	}
	for i := range 60 {
		n := 40
		if i%20 == 0 {
			n = 4 * maxCompared // replaced as a whole
		}
		shared, from, to := text(n), text(n), text(n)
		from, to = shared+from+"\n"+shared, shared+to+"\n"+shared
		file := filepath.Join(t.TempDir(), "Jenkinsfile")
		if err := os.WriteFile(file, []byte(from), 0o600); err != nil {
			t.Fatal(err)
		}
		diff := Diff(Side{"a", from}, Side{"b", to})
		cmd := exec.Command(patch, "--silent", file)
		cmd.Stdin = strings.NewReader(diff)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s\n%.3000s", err, out, diff)
		}
		got, err := os.ReadFile(file)
		if err != nil || string(got) != to {
			t.Fatalf("patch makes another text (%v):\n%.3000s", err, diff)
		}
	}
}

// TestDiffOfHostileTexts: nobody may keep a server busy by two Jenkinsfiles.
func TestDiffOfHostileTexts(t *testing.T) {
	lines := func(n, kinds, step int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "%d\n", i*step%kinds)
		}
		return b.String()
	}
	for name, sides := range map[string][2]string{
		"Few lines often": {lines(maxCompared, 2, 1), lines(maxCompared, 3, 1)},
		"Each often":      {lines(maxCompared, 120, 7), lines(maxCompared, 119, 11)},
		"Turned around":   {lines(maxCompared, 4*maxCompared, 1), lines(maxCompared, maxCompared, maxCompared-1)},
		"A mebibyte":      {strings.Repeat("a\n", 1<<19), strings.Repeat("b\n", 1<<19)},
		"One long line":   {strings.Repeat("a", 1<<20), strings.Repeat("b", 1<<20)},
	} {
		begin := time.Now()
		diff := Diff(Side{"a", sides[0]}, Side{"b", sides[1]})
		took := time.Since(begin)
		t.Logf("%-16s %8s, %d KiB", name, took.Round(time.Millisecond), len(diff)>>10)
		if took > 10*time.Second || diff == "" {
			t.Errorf("%s: %s for %d bytes", name, took, len(diff))
		}
	}
}
