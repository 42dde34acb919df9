// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package tokenreview

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

type creatorFunc func(review *authenticationv1.TokenReview) error

func (f creatorFunc) Create(_ context.Context, obj client.Object, _ ...client.CreateOption) error {
	return f(obj.(*authenticationv1.TokenReview))
}

func TestAuthenticateToken(t *testing.T) {
	down := errors.New("down")
	var calls atomic.Int32
	failing := atomic.Bool{}
	creator := creatorFunc(func(review *authenticationv1.TokenReview) error {
		calls.Add(1)
		if failing.Load() {
			return down
		}
		if review.Spec.Token == "good" {
			review.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{
				Username: "system:serviceaccount:w:sa", Groups: []string{"system:serviceaccounts"},
				Extra: map[string]authenticationv1.ExtraValue{"pod": {"p"}},
			}}
		}
		return nil
	})
	a := New(creator, Options{SuccessTTL: time.Hour, FailureTTL: time.Hour})
	ctx := context.Background()

	for range 2 {
		got, ok, err := a.AuthenticateToken(ctx, "good")
		if err != nil || !ok {
			t.Fatalf("good token: %v, %v", ok, err)
		}
		want := &user.DefaultInfo{Name: "system:serviceaccount:w:sa", Groups: []string{"system:serviceaccounts"}, Extra: map[string][]string{"pod": {"p"}}}
		if diff := cmp.Diff(want, got.User); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if _, ok, err := a.AuthenticateToken(ctx, "bad"); ok || err != nil {
			t.Errorf("bad token: %v, %v, want no opinion", ok, err)
		}
	}
	if got := calls.Load(); got != 2 {
		t.Errorf("%d calls for two tokens, want 2: answers are remembered", got)
	}

	failing.Store(true)
	for range 2 {
		if _, ok, err := a.AuthenticateToken(ctx, "third"); ok || !errors.Is(err, down) {
			t.Errorf("API down: %v, %v, want its error", ok, err)
		}
	}
	if got := calls.Load(); got != 4 {
		t.Errorf("%d calls, want 4: errors are not remembered", got)
	}
}

func TestAnswersExpire(t *testing.T) {
	calls := 0
	a := New(creatorFunc(func(*authenticationv1.TokenReview) error { calls++; return nil }),
		Options{FailureTTL: time.Nanosecond})
	for range 3 {
		if _, _, err := a.AuthenticateToken(context.Background(), "x"); err != nil {
			t.Fatal(err)
		}
	}
	if calls != 3 {
		t.Errorf("%d calls, want 3: the answers were too old", calls)
	}
}

func TestCancelledWhileAsking(t *testing.T) {
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	a := New(creatorFunc(func(*authenticationv1.TokenReview) error { <-release; return nil }), Options{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, ok, err := a.AuthenticateToken(ctx, "x"); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, %v, want the context's error", ok, err)
	}
}
