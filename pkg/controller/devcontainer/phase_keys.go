// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devcontainer

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	"github.com/slipway-dev/slipway/pkg/controller/devcontainer/resources"
	"github.com/slipway-dev/slipway/pkg/reconcile"
	"github.com/slipway-dev/slipway/pkg/sshkeys"
)

// ensureKeys keeps the Secret with the host keys, which are made once, and the keys that may log in.
//
// With a key that is not valid nothing is made: a container into which its owner cannot log in helps
// nobody. One that exists keeps the keys it had, and can still be stopped or changed.
func (r *Reconciler) ensureKeys(ctx context.Context, s *scope) error {
	authorized, err := authorizedKeys(s.app.Spec.StatefulSet.SSHPublicKeyList)
	if err != nil {
		s.keysError = err.Error()
	}
	live := &corev1.Secret{}
	key := client.ObjectKey{Namespace: s.app.Namespace, Name: resources.SecretName(s.app)}
	err = r.client.Get(ctx, key, live)
	if apierrors.IsNotFound(err) {
		// The cache may be behind, or not hold a Secret whose label somebody took off. New keys in the place of
		// those that clients know would look like an attack to them.
		err = r.reader.Get(ctx, key, live)
	}
	switch {
	case apierrors.IsNotFound(err) && s.keysError != "":
		return reconcile.Stall(devcontainerv1.ReasonInvalidKeys, s.keysError)
	case client.IgnoreNotFound(err) != nil:
		return fmt.Errorf("read Secret %s: %w", key, err)
	case err == nil:
		// The keys of an object that is not ours are not looked at.
		if err := checkOwner(s.app, live); err != nil {
			return err
		}
		if s.keysError != "" {
			authorized = live.Data[resources.AuthorizedKeysFile]
		}
	}
	host, err := r.hostKeys(live.Data)
	if err != nil {
		return err
	}
	obj, err := r.apply(ctx, s, resources.Secret(s.app, host, authorized), &corev1.Secret{})
	if err != nil {
		return err
	}
	s.secret = obj.(*corev1.Secret)
	s.fingerprints, err = fingerprints(s.secret.Data)
	return err
}

// authorizedKeys renders the keys of the spec, or says which are wrong by their place in the spec.
func authorizedKeys(lines []string) ([]byte, error) {
	keys := make([]sshkeys.AuthorizedKey, 0, len(lines))
	var wrong []string
	for i, line := range lines {
		key, err := sshkeys.ParseAuthorizedKey(line)
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("spec.statefulset.sshPublicKeyList[%d]: %v", i, err))
			continue
		}
		keys = append(keys, key)
	}
	if len(wrong) > 0 {
		return nil, &invalidKeysError{wrong: wrong}
	}
	return sshkeys.AuthorizedKeysFile(keys), nil
}

// invalidKeysError names the keys that are wrong. It holds no part of a key.
type invalidKeysError struct{ wrong []string }

func (e *invalidKeysError) Error() string {
	const most = 5 // of up to 256, each with a sentence
	if len(e.wrong) > most {
		return fmt.Sprintf("%s; and %d more", strings.Join(e.wrong[:most], "; "), len(e.wrong)-most)
	}
	return strings.Join(e.wrong, "; ")
}

// algorithms are the host keys that a dev container has, in the order of their preference.
var algorithms = []string{"ed25519", "rsa", "ecdsa"}

// hostKeys gives the host keys that data holds, and new ones where it has none or a broken one. Keys that
// work are never replaced: clients know the dev container by them.
func (r *Reconciler) hostKeys(data map[string][]byte) ([]sshkeys.HostKey, error) {
	var fresh map[string]sshkeys.HostKey
	keys := make([]sshkeys.HostKey, 0, len(algorithms))
	for _, algorithm := range algorithms {
		key := sshkeys.HostKey{Algorithm: algorithm}
		key.Private = data[key.PrivateFile()]
		if signer, err := ssh.ParsePrivateKey(key.Private); err == nil {
			key.Public = ssh.MarshalAuthorizedKey(signer.PublicKey())
			keys = append(keys, key)
			continue
		}
		if fresh == nil {
			made, err := r.makeHostKeys()
			if err != nil {
				return nil, fmt.Errorf("make host keys: %w", err)
			}
			fresh = map[string]sshkeys.HostKey{}
			for _, key := range made {
				fresh[key.Algorithm] = key
			}
		}
		made, ok := fresh[algorithm]
		if !ok {
			return nil, fmt.Errorf("make host keys: there is none of the kind %s", algorithm)
		}
		keys = append(keys, made)
	}
	return keys, nil
}

// fingerprints gives the SHA256 fingerprints of the host keys.
func fingerprints(data map[string][]byte) ([]string, error) {
	prints := make([]string, 0, len(algorithms))
	for _, algorithm := range algorithms {
		file := sshkeys.HostKey{Algorithm: algorithm}.PublicFile()
		public, _, _, _, err := ssh.ParseAuthorizedKey(data[file])
		if err != nil {
			return nil, fmt.Errorf("read host key %s: %w", file, err)
		}
		prints = append(prints, ssh.FingerprintSHA256(public))
	}
	return prints, nil
}
