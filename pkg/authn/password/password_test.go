// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package password

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/bcrypt"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

const namespace = "slipway-system"

func newUser(t *testing.T, name, password string, groups ...string) *corev1.Secret {
	t.Helper()
	secret, err := NewSecret(namespace, name, password, groups)
	if err != nil {
		t.Fatalf("NewSecret: %v", err)
	}
	return secret
}

func newAuthenticator(t *testing.T, secrets ...client.Object) *Authenticator {
	t.Helper()
	return New(fake.NewClientBuilder().WithObjects(secrets...).Build(), namespace)
}

func TestAuthenticate(t *testing.T) {
	longName := strings.Repeat("n", 100)
	longPassword := strings.Repeat("p", 72)
	wrongType := newUser(t, "typed", "secret")
	wrongType.Type = corev1.SecretTypeOpaque
	elsewhere := newUser(t, "elsewhere", "secret")
	elsewhere.Namespace = "tenant"
	a := newAuthenticator(t, newUser(t, "ann", "secret", "dev", "ops"), newUser(t, longName, longPassword), newUser(t, "安娜", "ключ"), wrongType, elsewhere)

	cases := map[string]struct {
		reason         string
		name, password string
		want           user.Info
	}{
		"good":              {reason: "name, password and groups", name: "ann", password: "secret", want: &user.DefaultInfo{Name: "ann", Groups: []string{"dev", "ops"}}},
		"long name":         {reason: "a name may be longer than a label value", name: longName, password: longPassword, want: &user.DefaultInfo{Name: longName}},
		"unicode":           {reason: "names are not only ASCII", name: "安娜", password: "ключ", want: &user.DefaultInfo{Name: "安娜"}},
		"wrong":             {reason: "a wrong password", name: "ann", password: "Secret"},
		"empty":             {reason: "no password", name: "ann"},
		"unknown":           {reason: "no such user", name: "bob", password: "secret"},
		"longer":            {reason: "bcrypt alone would accept what begins right", name: longName, password: longPassword + "x"},
		"reserved":          {reason: "no such user can be", name: "system:admin", password: "secret"},
		"another type":      {reason: "only Secrets of the type are users", name: "typed", password: "secret"},
		"another namespace": {reason: "a tenant cannot make users", name: "elsewhere", password: "secret"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := a.Authenticate(context.Background(), tc.name, tc.password, name)
			if tc.want == nil {
				if !errors.Is(err, ErrInvalid) {
					t.Errorf("%s: Authenticate = %v, %v, want ErrInvalid", tc.reason, got, err)
				}
				return
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || err != nil {
				t.Errorf("%s: Authenticate: %v, -want +got:\n%s", tc.reason, err, diff)
			}
		})
	}
}

func TestFailuresAreLimited(t *testing.T) {
	a := newAuthenticator(t, newUser(t, "ann", "secret"))
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	a.now = func() time.Time { return now }
	ctx := context.Background()

	for range burst * 2 {
		if _, err := a.Authenticate(ctx, "ann", "secret", "10.0.0.2"); err != nil {
			t.Fatalf("good password: %v: success does not count", err)
		}
	}
	var invalid, limited atomic.Int32
	var group sync.WaitGroup
	for range burst * 2 {
		group.Go(func() {
			_, err := a.Authenticate(ctx, "ann", "wrong", "10.0.0.1")
			var tooMany *TooManyError
			switch {
			case errors.Is(err, ErrInvalid):
				invalid.Add(1)
			case errors.As(err, &tooMany) && tooMany.RetryAfter > 0:
				limited.Add(1)
			}
		})
	}
	group.Wait()
	if invalid.Load() != burst || limited.Load() != burst {
		t.Errorf("of %d attempts at once %d were tried and %d limited, want %d each", burst*2, invalid.Load(), limited.Load(), burst)
	}
	if _, err := a.Authenticate(ctx, "ann", "secret", "10.0.0.2"); err != nil {
		t.Errorf("from another address: %v, want no error: a guesser does not lock the user out", err)
	}
	now = now.Add(refill)
	if _, err := a.Authenticate(ctx, "ann", "secret", "10.0.0.1"); err != nil {
		t.Errorf("after a while: %v, want no error", err)
	}
}

func TestDummyCostsAsMuch(t *testing.T) {
	cost, err := bcrypt.Cost([]byte(dummy))
	if err != nil || cost != bcrypt.DefaultCost {
		t.Errorf("cost of the dummy: %d, %v, want that of all others, %d", cost, err, bcrypt.DefaultCost)
	}
}

func TestUnknownUserTakesAsLong(t *testing.T) {
	a := newAuthenticator(t, newUser(t, "ann", "secret"))
	took := func(name string) time.Duration {
		start := time.Now()
		if _, err := a.Authenticate(context.Background(), name, "wrong", ""); !errors.Is(err, ErrInvalid) {
			t.Fatalf("Authenticate: %v", err)
		}
		return time.Since(start)
	}
	known, unknown := took("ann"), took("bob")
	if unknown < known/4 {
		t.Errorf("an unknown user took %v, a known one %v: the difference tells who exists", unknown, known)
	}
}

func TestReaderFails(t *testing.T) {
	down := errors.New("down")
	reader := interceptor.NewClient(fake.NewClientBuilder().Build(), interceptor.Funcs{
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error { return down },
	})
	a := New(reader, namespace)
	for range burst * 2 {
		if _, err := a.Authenticate(context.Background(), "ann", "secret", ""); !errors.Is(err, down) {
			t.Fatalf("Authenticate: %v, want the reader's error: it is not the caller's failure", err)
		}
	}
}

func TestNewSecretRefuses(t *testing.T) {
	for reason, err := range map[string]error{
		"long password":  second(NewSecret(namespace, "ann", strings.Repeat("x", 73), nil)),
		"reserved name":  second(NewSecret(namespace, "system:admin", "x", nil)),
		"reserved group": second(NewSecret(namespace, "ann", "x", []string{"system:masters"})),
		"comma":          second(NewSecret(namespace, "ann", "x", []string{"a,b"})),
	} {
		if err == nil {
			t.Errorf("%s: no error, want one", reason)
		}
	}
}

func second(_ *corev1.Secret, err error) error { return err }
