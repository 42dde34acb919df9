// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package up

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/bcrypt"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/slipway-dev/slipway/config/crd"
	"github.com/slipway-dev/slipway/config/rbac"
	"github.com/slipway-dev/slipway/pkg/authn/password"
)

const (
	// fieldOwner marks the fields that the bootstrap sets.
	fieldOwner = client.FieldOwner("slipway-up")
	// keysSecret holds the keys that tokens are signed with.
	keysSecret = "slipway-keys"
	// jwtSecretKey is the key of the JWT secret, jobTokenKey that of the key of job tokens,
	// webhookSecretKey that of the secret with which Jenkins sends events.
	jwtSecretKey, jobTokenKey, webhookSecretKey = "jwtSecret", "jobTokenKey", "webhookSecret"
	// keyBytes is the length of generated keys: 256 bits for HMAC-SHA256.
	keyBytes = 32
	// passwordBytes is the randomness of a generated password.
	passwordBytes = 15
	// establishTimeout bounds the wait for new resource definitions.
	establishTimeout = 30 * time.Second
)

// serverKeys are the secrets of the API server and the controllers.
type serverKeys struct {
	jwt, jobToken, webhook []byte
}

// bootstrap brings to the cluster what Slipway needs before it starts. It can be repeated.
func bootstrap(ctx context.Context, c client.Client, options *Options) (*serverKeys, error) {
	if err := installDefinitions(ctx, c); err != nil {
		return nil, err
	}
	for _, name := range []string{options.SystemNamespace, options.WorkerNamespace} {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if err := c.Create(ctx, namespace); err != nil && !apierrors.IsAlreadyExists(err) {
			return nil, fmt.Errorf("create namespace %s: %w", name, err)
		}
	}
	roles, err := rbac.Users()
	if err != nil {
		return nil, err
	}
	for _, role := range roles {
		if role.GetNamespace() != "" {
			role.SetNamespace(options.SystemNamespace)
		}
		if err := apply(ctx, c, role); err != nil {
			return nil, err
		}
	}
	if err := installTemplates(ctx, c); err != nil {
		return nil, err
	}
	return ensureKeys(ctx, c, options.SystemNamespace)
}

func installDefinitions(ctx context.Context, c client.Client) error {
	definitions, err := crd.All()
	if err != nil {
		return err
	}
	for _, definition := range definitions {
		if err := apply(ctx, c, definition); err != nil {
			return err
		}
	}
	for _, definition := range definitions {
		if err := waitEstablished(ctx, c, definition.Name); err != nil {
			return err
		}
	}
	return nil
}

func waitEstablished(ctx context.Context, c client.Client, name string) error {
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, establishTimeout, true, func(ctx context.Context) (bool, error) {
		current := &apiextensionsv1.CustomResourceDefinition{}
		if err := c.Get(ctx, client.ObjectKey{Name: name}, current); err != nil {
			return false, err
		}
		for _, condition := range current.Status.Conditions {
			if condition.Type == apiextensionsv1.Established && condition.Status == apiextensionsv1.ConditionTrue {
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("wait for the resource definition %s: %w", name, err)
	}
	return nil
}

// apply writes an object by server-side apply, over what others wrote.
func apply(ctx context.Context, c client.Client, object client.Object) error {
	return applyWith(ctx, c, object, client.ForceOwnership)
}

// applyWith writes an object by server-side apply; status and what the server sets are left out. Without
// ForceOwnership it fails with a conflict if another manager has changed a field.
func applyWith(ctx context.Context, c client.Client, object client.Object, options ...client.ApplyOption) error {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return fmt.Errorf("encode %s: %w", object.GetName(), err)
	}
	delete(content, "status")
	if metadata, ok := content["metadata"].(map[string]any); ok {
		delete(metadata, "creationTimestamp")
	}
	desired := &unstructured.Unstructured{Object: content}
	options = append([]client.ApplyOption{fieldOwner}, options...)
	if err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(desired), options...); err != nil {
		return fmt.Errorf("apply %s %s: %w", desired.GetKind(), desired.GetName(), err)
	}
	return nil
}

// ensureKeys reads the servers' keys or makes them. They are kept in the cluster, so that tokens
// stay valid over restarts.
func ensureKeys(ctx context.Context, c client.Client, namespace string) (*serverKeys, error) {
	secret := &corev1.Secret{}
	key := client.ObjectKey{Namespace: namespace, Name: keysSecret}
	err := c.Get(ctx, key, secret)
	if apierrors.IsNotFound(err) {
		secret = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: keysSecret},
			Data: map[string][]byte{jwtSecretKey: randomText(keyBytes), jobTokenKey: randomText(keyBytes), webhookSecretKey: randomText(keyBytes)}}
		err = c.Create(ctx, secret)
		if apierrors.IsAlreadyExists(err) {
			err = c.Get(ctx, key, secret)
		}
	}
	if err == nil && len(secret.Data[webhookSecretKey]) == 0 {
		// Made before events were taken.
		before := secret.DeepCopy()
		if secret.Data == nil {
			secret.Data = map[string][]byte{}
		}
		secret.Data[webhookSecretKey] = randomText(keyBytes)
		err = c.Patch(ctx, secret, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	}
	if err != nil {
		return nil, fmt.Errorf("read the keys in Secret %s: %w", key, err)
	}
	keys := &serverKeys{jwt: secret.Data[jwtSecretKey], jobToken: secret.Data[jobTokenKey], webhook: secret.Data[webhookSecretKey]}
	if min(len(keys.jwt), len(keys.jobToken), len(keys.webhook)) < keyBytes {
		return nil, fmt.Errorf("Secret %s must hold %s, %s and %s of at least %d bytes: delete it and start again to have new ones made",
			key, jwtSecretKey, jobTokenKey, webhookSecretKey, keyBytes)
	}
	return keys, nil
}

// ensureAdmin makes the first user and keeps the password in a file. The file leads: if it and the
// Secret do not fit, the Secret gets the file's password.
func ensureAdmin(ctx context.Context, c client.Client, options *Options) (passwordFile string, err error) {
	passwordFile = filepath.Join(options.StateDir, "admin-password")
	text, err := os.ReadFile(passwordFile)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(text) == 0 {
		text = randomText(passwordBytes)
		err = writeFile(passwordFile, text)
	}
	if err != nil {
		return "", fmt.Errorf("password of %s: %w", options.AdminUser, err)
	}
	want, err := password.NewSecret(options.SystemNamespace, options.AdminUser, string(text), []string{rbac.AdminGroup})
	if err != nil {
		return "", fmt.Errorf("make user %s: %w", options.AdminUser, err)
	}
	secret := &corev1.Secret{}
	err = c.Get(ctx, client.ObjectKeyFromObject(want), secret)
	switch {
	case apierrors.IsNotFound(err):
		err = c.Create(ctx, want)
	case err == nil && bcrypt.CompareHashAndPassword(secret.Data[password.KeyPasswordHash], text) != nil:
		want.ResourceVersion = secret.ResourceVersion
		err = c.Update(ctx, want)
	}
	if err != nil {
		return "", fmt.Errorf("write user %s: %w", options.AdminUser, err)
	}
	return passwordFile, nil
}

// secretFile reads a secret from a file, or makes one.
func secretFile(path string) (string, error) {
	content, err := os.ReadFile(path)
	if err == nil && len(content) > 0 {
		return string(content), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read secret: %w", err)
	}
	content = randomText(keyBytes)
	return string(content), writeFile(path, content)
}

// randomText gives n random bytes as text that is safe in files, forms and headers.
func randomText(n int) []byte {
	raw := make([]byte, n)
	_, _ = rand.Read(raw) // never fails
	return []byte(base64.RawURLEncoding.EncodeToString(raw))
}
