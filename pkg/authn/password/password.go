// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package password checks names and passwords against users that are kept in Secrets of type
// slipway.dev/user. It takes the same time for a user who does not exist as for a wrong password,
// and slows down those who guess.
package password

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/utils/lru"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/pkg/authn"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// Form of a user's Secret.
const (
	// SecretType is the type of the Secret.
	SecretType corev1.SecretType = "slipway.dev/user"
	// UserLabel carries the user's name, shortened where it is no label value.
	UserLabel = "slipway.dev/user"
	// KeyUsername is the user's name.
	KeyUsername = "username"
	// KeyPasswordHash is the bcrypt hash of the password.
	KeyPasswordHash = "passwordHash"
	// KeyGroups are the user's groups, separated by commas.
	KeyGroups = "groups"
)

// MaxPassword is the greatest length of a password in bytes: bcrypt looks at no more.
const MaxPassword = 72

const (
	// A caller may fail so many times at once, and then once in refill.
	burst  = 5
	refill = 12 * time.Second
	// trackedCallers bounds the memory for callers who failed.
	trackedCallers = 10000
	// concurrent bounds the hashes that are computed at once: each takes a core for some 50 ms.
	concurrent = 4
)

// Errors of Authenticate.
var (
	// ErrInvalid says that the user does not exist or the password is wrong.
	ErrInvalid = errors.New("the username or the password is wrong")
	// ErrLongPassword says that a password has more than MaxPassword bytes.
	ErrLongPassword = errors.New("the password is longer than 72 bytes")
)

// TooManyError says that the caller failed too often.
type TooManyError struct {
	// RetryAfter is when the next attempt is allowed.
	RetryAfter time.Duration
}

// Error implements error.
func (e *TooManyError) Error() string {
	return fmt.Sprintf("too many failed attempts; try again in %d seconds", Seconds(e.RetryAfter))
}

// Seconds rounds a time up to whole seconds, as Retry-After wants it.
func Seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// Authenticator checks passwords.
type Authenticator struct {
	reader    client.Reader
	namespace string
	slots     chan struct{}
	now       func() time.Time

	mu       sync.Mutex
	failures *lru.Cache
}

// dummy is compared with the passwords of users who do not exist: the hash of 32 random bytes that
// nobody knows, at the cost of all others.
const dummy = "$2a$10$TeNu0/GQE3QP6HpvKUytu.zkSqkYNfTlDgSyAAJoDwkxdyFNPyP.K"

// New makes an Authenticator that reads Secrets of one namespace. The reader should not be a cache:
// one of Secrets would hold every credential in memory.
func New(reader client.Reader, namespace string) *Authenticator {
	return &Authenticator{
		reader: reader, namespace: namespace,
		slots: make(chan struct{}, concurrent), failures: lru.New(trackedCallers), now: time.Now,
	}
}

// Hash gives the bcrypt hash of a password.
func Hash(password string) ([]byte, error) {
	if len(password) > MaxPassword {
		return nil, ErrLongPassword
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	if err != nil {
		return nil, fmt.Errorf("hash password: %w", err)
	}
	return hash, nil
}

// NewSecret makes the Secret of a user.
func NewSecret(namespace, username, password string, groups []string) (*corev1.Secret, error) {
	if err := authn.CheckName("user", username); err != nil {
		return nil, err
	}
	for _, group := range groups {
		if err := authn.CheckName("group", group); err != nil {
			return nil, err
		}
		if strings.Contains(group, ",") {
			return nil, fmt.Errorf("the name of the group %q holds a comma", group)
		}
	}
	hash, err := Hash(password)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(username))
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace,
			Name:      fmt.Sprintf("user-%x", sum[:10]),
			Labels:    map[string]string{UserLabel: reconcile.LabelValue(username)},
		},
		Type: SecretType,
		Data: map[string][]byte{
			KeyUsername:     []byte(username),
			KeyPasswordHash: hash,
			KeyGroups:       []byte(strings.Join(groups, ",")),
		},
	}, nil
}

// Authenticate gives the user of a name and password. The address tells callers apart who guess the
// password of the same user.
func (a *Authenticator) Authenticate(ctx context.Context, username, password, address string) (user.Info, error) {
	// The attempt counts as failed until it has succeeded, so that many at once are all counted.
	start := a.now()
	attempt := a.limiter(username, address).ReserveN(start, 1)
	if wait := attempt.DelayFrom(start); wait > 0 {
		attempt.CancelAt(start)
		return nil, &TooManyError{RetryAfter: wait}
	}
	found, err := a.lookup(ctx, username)
	if err != nil {
		attempt.CancelAt(start)
		return nil, err
	}
	ok, err := a.compare(ctx, found, password)
	if err != nil {
		attempt.CancelAt(start)
		return nil, err
	}
	if !ok {
		return nil, ErrInvalid
	}
	attempt.CancelAt(start)
	return &user.DefaultInfo{Name: username, Groups: groupsOf(found)}, nil
}

// limiter gives the limiter of a user's failures from an address.
func (a *Authenticator) limiter(username, address string) *rate.Limiter {
	key := sha256.Sum256([]byte(username + "\x00" + address))
	a.mu.Lock()
	defer a.mu.Unlock()
	if known, ok := a.failures.Get(key); ok {
		return known.(*rate.Limiter)
	}
	limiter := rate.NewLimiter(rate.Every(refill), burst)
	a.failures.Add(key, limiter)
	return limiter
}

// lookup gives the Secret of a user, nil if there is none.
func (a *Authenticator) lookup(ctx context.Context, username string) (*corev1.Secret, error) {
	if !possible(username) {
		return nil, nil
	}
	secrets := &corev1.SecretList{}
	err := a.reader.List(ctx, secrets, client.InNamespace(a.namespace),
		client.MatchingLabels{UserLabel: reconcile.LabelValue(username)})
	if err != nil {
		return nil, fmt.Errorf("look up user: %w", err)
	}
	var found *corev1.Secret
	for i := range secrets.Items {
		secret := &secrets.Items[i]
		if secret.Type != SecretType || string(secret.Data[KeyUsername]) != username {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("secrets %s and %s in %s are both for the same user", found.Name, secret.Name, a.namespace)
		}
		found = secret
	}
	return found, nil
}

// possible tells if a user can have the name.
func possible(username string) bool { return authn.CheckName("user", username) == nil }

// compare takes the same time whether there is a user or not.
func (a *Authenticator) compare(ctx context.Context, secret *corev1.Secret, password string) (bool, error) {
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	hash, mayMatch := []byte(dummy), false
	if secret != nil {
		hash, mayMatch = secret.Data[KeyPasswordHash], true
	}
	if len(password) > MaxPassword {
		// bcrypt would compare the first 72 bytes only.
		password, mayMatch = password[:MaxPassword], false
	}
	err := bcrypt.CompareHashAndPassword(hash, []byte(password))
	return mayMatch && err == nil, nil
}

func groupsOf(secret *corev1.Secret) []string {
	var groups []string
	for group := range strings.SplitSeq(string(secret.Data[KeyGroups]), ",") {
		if group = strings.TrimSpace(group); group != "" {
			groups = append(groups, group)
		}
	}
	return groups
}
