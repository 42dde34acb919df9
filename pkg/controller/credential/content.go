// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// maxDescription bounds the description in Jenkins, in characters.
const maxDescription = 500

// markLength is how many hexadecimal digits of the hash a mark has: 64 bits, which nobody meets by chance.
const markLength = 16

var markAtEnd = regexp.MustCompile(`\[slipway:([0-9a-f]{16})\]$`)

// markOf finds the mark in the description of an entry; "" in one that Slipway did not write.
func markOf(description string) string {
	if found := markAtEnd.FindStringSubmatch(description); found != nil {
		return found[1]
	}
	return ""
}

// content is what Jenkins is to have of a Secret.
type content struct {
	entry jenkins.CredentialEntry
	// hash tells it from any other content, and mark is the part of it that is in the entry's description.
	hash, mark string
}

// newContent makes the entry of a Secret. The error is for the user, and has no part of a value.
func newContent(secret *corev1.Secret, options Options) (*content, error) {
	credential, err := readCredential(secret, options.KubeconfigAs)
	if err != nil {
		return nil, err
	}
	c := &content{hash: hashOf(secret, options)}
	c.mark = c.hash[:markLength]
	c.entry = jenkins.CredentialEntry{ID: secret.Name, Description: describe(secret, c.mark), Credential: credential}
	return c, nil
}

// describe is the description of an entry: the user's, and the mark.
func describe(secret *corev1.Secret, mark string) string {
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' ' // Jenkins' XML cannot hold some of them
		}
		return r
	}, strings.ToValidUTF8(secret.Annotations[devopsv1alpha3.CredentialDescriptionAnnotation], ""))
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > maxDescription {
		text = string(runes[:maxDescription]) + "…"
	}
	return strings.TrimSpace(text + " [slipway:" + mark + "]")
}

// hashOf is a keyed hash of all that goes to Jenkins, for the place where it goes: equal passwords of two credentials have different
// hashes, and without the key nobody can try out passwords.
func hashOf(secret *corev1.Secret, options Options) string {
	mac := hmac.New(sha256.New, options.Key)
	// The first part keeps the key usable for other purposes.
	parts := []string{"slipway credential", secret.Namespace, secret.Name, string(secret.Type), options.KubeconfigAs,
		secret.Annotations[devopsv1alpha3.CredentialDescriptionAnnotation]}
	for _, key := range sortedKeys(secret.Data) {
		parts = append(parts, key, string(secret.Data[key]))
	}
	for _, part := range parts {
		_, _ = fmt.Fprintf(mac, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(mac.Sum(nil))
}

func sortedKeys(data map[string][]byte) []string { return slices.Sorted(maps.Keys(data)) }

// readCredential checks a Secret and reads what is in it.
func readCredential(secret *corev1.Secret, kubeconfigAs string) (jenkins.Credential, error) {
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
