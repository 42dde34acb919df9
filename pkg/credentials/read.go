// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package credentials knows the form of the Secrets that are credentials of a project, and makes of them what Jenkins keeps.
package credentials

import (
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// Forms in which kubeconfigs are kept in Jenkins.
const (
	// KubeconfigAsSecretText needs no plugin; a Jenkinsfile binds it with string(credentialsId: …).
	KubeconfigAsSecretText = "secret-text"
	// KubeconfigAsKubeconfig needs the plugin kubernetes-cd, which the Jenkins of KubeSphere has.
	KubeconfigAsKubeconfig = "kubeconfig"
)

// Check tells what is wrong with a Secret of one of the types. The error is for the user, and has no part of a value.
func Check(secret *corev1.Secret) error {
	_, err := Read(secret, KubeconfigAsSecretText)
	return err
}

// Read checks a Secret and makes what Jenkins keeps of it; kubeconfigs in the form that is given, empty for KubeconfigAsSecretText. The
// error is that of Check.
func Read(secret *corev1.Secret, kubeconfigAs string) (jenkins.Credential, error) {
	switch secret.Type {
	case devopsv1alpha3.SecretTypeBasicAuth:
		values, err := texts(secret, devopsv1alpha3.CredentialUsernameKey, devopsv1alpha3.CredentialPasswordKey)
		if err != nil {
			return nil, err
		}
		return jenkins.UsernamePassword{Username: values[0], Password: values[1]}, nil
	case devopsv1alpha3.SecretTypeSSHAuth:
		return readSSHKey(secret)
	case devopsv1alpha3.SecretTypeSecretText:
		values, err := texts(secret, devopsv1alpha3.CredentialSecretKey)
		if err != nil {
			return nil, err
		}
		return jenkins.SecretText{Secret: values[0]}, nil
	case devopsv1alpha3.SecretTypeKubeconfig:
		values, err := texts(secret, devopsv1alpha3.CredentialContentKey)
		if err != nil {
			return nil, err
		}
		if err := checkKubeconfig(values[0]); err != nil {
			return nil, err
		}
		if kubeconfigAs == KubeconfigAsKubeconfig {
			return jenkins.Kubeconfig{Content: values[0]}, nil
		}
		return jenkins.SecretText{Secret: values[0]}, nil
	}
	return nil, errors.New("the type of the Secret is not that of a credential")
}

// texts reads the values of keys that must be there and must be text, as Jenkins is sent JSON.
func texts(secret *corev1.Secret, keys ...string) ([]string, error) {
	var values, missing []string
	for _, key := range keys {
		value := secret.Data[key]
		switch {
		case len(value) == 0:
			missing = append(missing, key)
		case !utf8.Valid(value) || slices.Contains(value, 0):
			return nil, fmt.Errorf("the value of %q is not text in UTF-8; was it encoded in base64 once too often, or too seldom?", key)
		}
		values = append(values, string(value))
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("a Secret of type %s needs a value for %s", secret.Type, strings.Join(missing, " and "))
	}
	return values, nil
}

func readSSHKey(secret *corev1.Secret) (jenkins.Credential, error) {
	values, err := texts(secret, devopsv1alpha3.CredentialUsernameKey, devopsv1alpha3.CredentialPrivateKeyKey)
	if err != nil {
		return nil, err
	}
	key := jenkins.SSHKey{Username: values[0], PrivateKey: values[1]}
	if len(secret.Data[devopsv1alpha3.CredentialPassphraseKey]) > 0 {
		if values, err = texts(secret, devopsv1alpha3.CredentialPassphraseKey); err != nil {
			return nil, err
		}
		key.Passphrase = values[0]
	}
	if err := checkPrivateKey([]byte(key.PrivateKey), []byte(key.Passphrase)); err != nil {
		return nil, fmt.Errorf("private_key %w", err)
	}
	return key, nil
}

// checkPrivateKey tells what is wrong with a private key. Texts of the parser are not passed on: they may repeat a part of the key.
func checkPrivateKey(key, passphrase []byte) error {
	block, _ := pem.Decode(key)
	switch {
	case strings.HasPrefix(string(key), "PuTTY-User-Key-File"):
		return errors.New("is in the format of PuTTY; export it in the format of OpenSSH (PuTTYgen: Conversions)")
	case strings.HasPrefix(string(key), "ssh-") || strings.HasPrefix(string(key), "ecdsa-"):
		return errors.New("holds a public key; put the private one there, which begins with -----BEGIN")
	case block == nil:
		return errors.New("is not a private key in PEM or OpenSSH format, or is not complete: it begins with -----BEGIN and ends with -----END")
	case block.Type == "ENCRYPTED PRIVATE KEY":
		// Jenkins reads this format, Go's library does not.
		if len(passphrase) == 0 {
			return errors.New("is encrypted; put its passphrase under the key passphrase")
		}
		return nil
	case !strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return errors.New("holds no private key but something else in PEM format")
	}
	_, err := ssh.ParseRawPrivateKey(key)
	var encrypted *ssh.PassphraseMissingError
	if !errors.As(err, &encrypted) {
		if err != nil {
			return errors.New("cannot be read: it is damaged or of an unknown kind")
		}
		return nil
	}
	if len(passphrase) == 0 {
		return errors.New("is encrypted; put its passphrase under the key passphrase")
	}
	if _, err := ssh.ParseRawPrivateKeyWithPassphrase(key, passphrase); err != nil {
		return errors.New("cannot be read with the passphrase: one of the two is wrong")
	}
	return nil
}

// checkKubeconfig tells what is wrong with a kubeconfig, without the words of its parser.
func checkKubeconfig(text string) error {
	config, err := clientcmd.Load([]byte(text))
	switch {
	case err != nil:
		return errors.New("content is not a kubeconfig: it cannot be read as YAML with the fields of one")
	case len(config.Clusters) == 0 || len(config.Contexts) == 0:
		return errors.New("content is not a kubeconfig: it has no clusters or no contexts")
	case config.CurrentContext != "" && config.Contexts[config.CurrentContext] == nil:
		return errors.New("content is not a complete kubeconfig: it has no context of the name in current-context")
	}
	return nil
}
