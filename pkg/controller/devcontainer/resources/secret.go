// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package resources

import (
	corev1 "k8s.io/api/core/v1"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	"github.com/slipway-dev/slipway/pkg/sshkeys"
)

// AuthorizedKeysFile is the Secret's key that holds the public keys that may log in.
const AuthorizedKeysFile = "authorized_keys"

// Secret holds the host keys and the authorized keys, in the files that slipway-agent expects below
// KeysDir.
func Secret(app *devcontainerv1.DevcontainerApp, host []sshkeys.HostKey, authorized []byte) *corev1.Secret {
	// An empty file, not a missing one: the agent would take a missing one for a broken mount.
	data := map[string][]byte{AuthorizedKeysFile: append([]byte{}, authorized...)}
	for _, key := range host {
		data[key.PrivateFile()] = key.Private
		data[key.PublicFile()] = key.Public
	}
	return &corev1.Secret{ObjectMeta: objectMeta(app, SecretName(app)), Type: corev1.SecretTypeOpaque, Data: data}
}
