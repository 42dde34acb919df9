// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package reconcile

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// hintedError says when to try again.
type hintedError time.Duration

func (e hintedError) Error() string             { return "away" }
func (e hintedError) RetryAfter() time.Duration { return time.Duration(e) }

func TestResult(t *testing.T) {
	boom := errors.New("boom")
	conflict := apierrors.NewConflict(schema.GroupResource{Resource: "pods"}, "a", boom)
	cases := map[string]struct {
		reason  string
		err     error
		want    ctrl.Result
		wantErr error
	}{
		"Success":         {reason: "nothing to do"},
		"Stop":            {reason: "ErrStop is a success", err: fmt.Errorf("phase: %w", ErrStop)},
		"Wait":            {reason: "a wait looks again after its time", err: Wait("Queued", "in the queue", time.Second), want: ctrl.Result{RequeueAfter: time.Second}},
		"WaitForWatch":    {reason: "a wait without a time waits for an event", err: Wait("Queued", "in the queue", 0)},
		"Stall":           {reason: "the user has to act, a retry would not help", err: Stall("Invalid", "fix it")},
		"Retry":           {reason: "a retry is an error, so that it backs off", err: Retry("Down", boom), wantErr: boom},
		"Plain":           {reason: "an error without a kind is retried", err: boom, wantErr: boom},
		"Conflict":        {reason: "a lost race is run again in silence", err: fmt.Errorf("patch: %w", conflict), want: ctrl.Result{RequeueAfter: conflictDelay}},
		"ConflictInRetry": {reason: "a wrapped conflict too", err: Retry("X", conflict), want: ctrl.Result{RequeueAfter: conflictDelay}},
	}
	t.Run("Hint", func(t *testing.T) {
		got, err := Result(Retry("Down", fmt.Errorf("call: %w", hintedError(10*time.Second))))
		if err != nil || got.RequeueAfter < 10*time.Second || got.RequeueAfter > 12*time.Second {
			t.Errorf("a backend that says when to come back: result %v, error %v, want 10 s to 12 s", got, err)
		}
		if _, err := Result(Retry("Down", hintedError(0))); err == nil {
			t.Error("one that does not say so is no error")
		}
	})
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Result(tc.err)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: result -want +got:\n%s", tc.reason, diff)
			}
			if !errors.Is(err, tc.wantErr) || (err == nil) != (tc.wantErr == nil) {
				t.Errorf("%s: error %v, want %v", tc.reason, err, tc.wantErr)
			}
		})
	}
}

func TestAsOutcomeKeepsTheInnermostReason(t *testing.T) {
	got := AsOutcome(fmt.Errorf("phase two: %w", Stall("Invalid", "fix the image")))
	if got == nil || got.Reason != "Invalid" || got.Kind != Stalled {
		t.Fatalf("outcome = %+v, want the stalled one", got)
	}
	if got := AsOutcome(errors.New("x")); got.Reason != ReasonFailed || got.Kind != Retrying {
		t.Fatalf("outcome of a plain error = %+v", got)
	}
}

func TestPhasesStopAtTheFirstError(t *testing.T) {
	var ran []string
	phase := func(name string, err error) Phase[*int] {
		return func(context.Context, *int) error { ran = append(ran, name); return err }
	}
	boom := errors.New("boom")
	if err := Phases(t.Context(), new(int), phase("a", nil), phase("b", boom), phase("c", nil)); !errors.Is(err, boom) {
		t.Fatalf("error = %v, want boom", err)
	}
	if err := Phases(t.Context(), new(int), phase("d", fmt.Errorf("x: %w", ErrStop)), phase("e", nil)); err != nil {
		t.Fatalf("error = %v, want none after ErrStop", err)
	}
	if diff := cmp.Diff([]string{"a", "b", "d"}, ran); diff != "" {
		t.Fatalf("phases -want +got:\n%s", diff)
	}
}

// patches counts the patches that a client sends.
type patches struct{ status, rest int }

func countingClient(count *patches, objects ...client.Object) client.Client {
	return fake.NewClientBuilder().WithObjects(objects...).WithStatusSubresource(&corev1.Pod{}).
		WithInterceptorFuncs(interceptor.Funcs{
			Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, p client.Patch, opts ...client.PatchOption) error {
				count.rest++
				return c.Patch(ctx, obj, p, opts...)
			},
			SubResourcePatch: func(ctx context.Context, c client.Client, sub string, obj client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
				count.status++
				return c.SubResource(sub).Patch(ctx, obj, p, opts...)
			},
		}).Build()
}

func TestPatcher(t *testing.T) {
	base := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "n", Annotations: map[string]string{"keep": "me"}}}
	label := func(p *corev1.Pod) { p.Labels = map[string]string{"a": "b"} }
	status := func(p *corev1.Pod) { p.Status.Message = "hi" }
	both := func(p *corev1.Pod) { label(p); status(p) }
	cases := map[string]struct {
		reason string
		change func(*corev1.Pod)
		// stale: another writer has changed the object since it was read.
		stale         bool
		want          patches
		conflict      bool
		label, status bool
	}{
		"Nothing":         {reason: "an unchanged object costs no call", change: func(*corev1.Pod) {}, stale: true},
		"Status":          {reason: "only the status is sent", change: status, want: patches{status: 1}, status: true},
		"Rest":            {reason: "only the metadata is sent, whatever others did", change: label, stale: true, want: patches{rest: 1}, label: true},
		"Both":            {reason: "both are sent, neither undoes the other", change: both, want: patches{status: 1, rest: 1}, label: true, status: true},
		"Stale status":    {reason: "the status of a stale copy is not written", change: status, stale: true, want: patches{status: 1}, conflict: true},
		"Both of a stale": {reason: "annotations and labels are written all the same, the status is not tried", change: both, stale: true, want: patches{rest: 2}, conflict: true, label: true},
		"Stale finalizers": {reason: "a list of a stale copy is not written", stale: true, want: patches{rest: 1}, conflict: true,
			change: func(p *corev1.Pod) { label(p); p.Finalizers = []string{"a/b"} }},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var count patches
			c := countingClient(&count, base.DeepCopy())
			pod := &corev1.Pod{}
			key := client.ObjectKeyFromObject(base)
			if err := c.Get(t.Context(), key, pod); err != nil {
				t.Fatal(err)
			}
			patcher := NewPatcher(c, pod)
			if tc.stale {
				other := pod.DeepCopy()
				other.Annotations["other"] = "writer"
				if err := c.Update(t.Context(), other); err != nil {
					t.Fatal(err)
				}
			}
			tc.change(pod)
			err := patcher.Patch(t.Context(), pod)
			if apierrors.IsConflict(err) != tc.conflict || err != nil && !tc.conflict {
				t.Fatalf("%s: error %v, want a conflict: %t", tc.reason, err, tc.conflict)
			}
			if err == nil { // a second call has nothing left to send
				if err := patcher.Patch(t.Context(), pod); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(tc.want, count, cmp.AllowUnexported(patches{})); diff != "" {
				t.Errorf("%s: calls -want +got:\n%s", tc.reason, diff)
			}
			got := &corev1.Pod{}
			if err := c.Get(t.Context(), key, got); err != nil {
				t.Fatal(err)
			}
			if (got.Status.Message != "") != tc.status || (len(got.Labels) > 0) != tc.label {
				t.Errorf("%s: stored labels %v, message %q", tc.reason, got.Labels, got.Status.Message)
			}
			if tc.stale && got.Annotations["other"] != "writer" || got.Annotations["keep"] != "me" {
				t.Errorf("%s: another writer's annotations were lost: %v", tc.reason, got.Annotations)
			}
		})
	}
}

func TestPatcherOrder(t *testing.T) {
	for name, tc := range map[string]struct {
		reason     string
		finalizers []string
		want       []string
	}{
		"Usual":             {reason: "a status that says all is done comes after all", finalizers: []string{"a/b"}, want: []string{"rest", "status"}},
		"Finalizer removed": {reason: "the object may vanish with its last finalizer", want: []string{"status", "rest"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "n", Finalizers: []string{"a/b"}}}
			c := fake.NewClientBuilder().WithObjects(pod).WithStatusSubresource(&corev1.Pod{}).WithInterceptorFuncs(interceptor.Funcs{
				Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, p client.Patch, opts ...client.PatchOption) error {
					got = append(got, "rest")
					return c.Patch(ctx, obj, p, opts...)
				},
				SubResourcePatch: func(ctx context.Context, c client.Client, sub string, obj client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
					got = append(got, "status")
					return c.SubResource(sub).Patch(ctx, obj, p, opts...)
				},
			}).Build()
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(pod), pod); err != nil {
				t.Fatal(err)
			}
			patcher := NewPatcher(c, pod)
			pod.Finalizers, pod.Annotations, pod.Status.Message = tc.finalizers, map[string]string{"a": "b"}, "hi"
			if err := patcher.Patch(t.Context(), pod); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestPatcherIgnoresWhatIsGone(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "n"}}
	var count patches
	c := countingClient(&count)
	patcher := NewPatcher(c, pod)
	pod.Labels = map[string]string{"a": "b"}
	if err := patcher.Patch(t.Context(), pod); err != nil {
		t.Fatalf("patching a deleted object: %v", err)
	}
	if count.rest != 1 {
		t.Fatalf("patches sent = %d, want 1", count.rest)
	}
}

func TestLabelValue(t *testing.T) {
	long := strings.Repeat("a", 63)
	cases := map[string]struct {
		reason, in string
		same       bool
	}{
		"Short":   {reason: "a legal value stays", in: "dev-1", same: true},
		"Limit":   {reason: "63 characters are legal", in: long, same: true},
		"Long":    {reason: "253 characters are not", in: strings.Repeat("a", 253)},
		"Dot":     {reason: "a dot at the cut must not end the value", in: strings.Repeat("a.", 100) + "b"},
		"Unicode": {reason: "letters beyond ASCII are not legal", in: "größe"},
		"Only":    {reason: "nothing legal is left but the hash", in: "日本"},
		"User":    {reason: "an e-mail address is not a label value", in: "me@example.com"},
	}
	seen := map[string]string{}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := LabelValue(tc.in)
			if errs := validation.IsValidLabelValue(got); len(errs) > 0 || got == "" {
				t.Errorf("%s: %q is no label value: %v", tc.reason, got, errs)
			}
			if (got == tc.in) != tc.same {
				t.Errorf("%s: LabelValue(%q) = %q", tc.reason, tc.in, got)
			}
			if other, ok := seen[got]; ok {
				t.Errorf("%q and %q share the value %q", other, tc.in, got)
			}
			seen[got] = tc.in
		})
	}
	if LabelValue(long+"x") == LabelValue(long+"y") {
		t.Error("two names that differ at the end share a label value")
	}
}
