// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package sshkeys

import (
	"bytes"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"
)

// MaxLineBytes is the longest line that ParseAuthorizedKey accepts: 16 KiB, as an RSA key of 16384
// bits with a long comment needs about 3 KiB.
const MaxLineBytes = 16 << 10

// Reason says why a public key was refused.
type Reason string

// The reasons of a KeyError.
const (
	// ReasonEmpty: there is no key in the text.
	ReasonEmpty Reason = "Empty"
	// ReasonTooLong: the text is longer than MaxLineBytes.
	ReasonTooLong Reason = "TooLong"
	// ReasonNotOneLine: the text has more than one line.
	ReasonNotOneLine Reason = "NotOneLine"
	// ReasonBadCharacter: the text has control characters or is not UTF-8.
	ReasonBadCharacter Reason = "BadCharacter"
	// ReasonPrivateKey: the text is a private key.
	ReasonPrivateKey Reason = "PrivateKey"
	// ReasonWrongFormat: the text is a public key in another format (PEM, RFC 4716, PuTTY).
	ReasonWrongFormat Reason = "WrongFormat"
	// ReasonOptions: the line begins with options such as command="…".
	ReasonOptions Reason = "OptionsNotAllowed"
	// ReasonUnknownType: the key type is not known, or too old to be safe.
	ReasonUnknownType Reason = "UnknownType"
	// ReasonBadLength: an RSA key below MinRSABits or above what OpenSSH accepts.
	ReasonBadLength Reason = "BadLength"
	// ReasonMalformed: the key data cannot be decoded or does not fit its type.
	ReasonMalformed Reason = "Malformed"
)

const example = `expected one line like "ssh-ed25519 AAAAC3NzaC1… you@host", which is what ~/.ssh/id_ed25519.pub holds`

// KeyError says what is wrong with a public key and what a right one looks like. It never holds a
// part of the key.
type KeyError struct {
	Reason Reason
	// Message is the problem without the example, e.g. "the RSA key has 1024 bits, want at least 2048".
	Message string
}

func (e *KeyError) Error() string { return "SSH public key: " + e.Message + "; " + example }

// Is makes errors.Is match on the reason alone: errors.Is(err, &KeyError{Reason: ReasonOptions}).
func (e *KeyError) Is(target error) bool {
	t, ok := target.(*KeyError)
	return ok && t.Reason == e.Reason
}

func refuse(reason Reason, format string, args ...any) error {
	return &KeyError{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// keyTypes are the accepted types. ssh-dss is not: OpenSSH dropped it. Certificates are not: what a
// certificate may do is decided by options that this package refuses.
var keyTypes = map[string]bool{
	ssh.KeyAlgoRSA:        true,
	ssh.KeyAlgoED25519:    true,
	ssh.KeyAlgoECDSA256:   true,
	ssh.KeyAlgoECDSA384:   true,
	ssh.KeyAlgoECDSA521:   true,
	ssh.KeyAlgoSKED25519:  true,
	ssh.KeyAlgoSKECDSA256: true,
}

// AuthorizedKey is a checked public key of a user.
type AuthorizedKey struct {
	// Type is the key's type, e.g. "ssh-ed25519".
	Type string
	// Comment is what stands behind the key; it may be empty and may be any Unicode text.
	Comment string
	// Fingerprint is "SHA256:…" as ssh-keygen -l prints it. It is safe to log.
	Fingerprint string

	blob []byte
}

// Line is the key as a line of authorized_keys without a newline.
func (k AuthorizedKey) Line() string {
	line := k.Type + " " + base64.StdEncoding.EncodeToString(k.blob)
	if k.Comment != "" {
		line += " " + k.Comment
	}
	return line
}

// ParseAuthorizedKey checks the one public key in line. White space around it, a newline at its end
// included, is dropped. It returns a *KeyError for everything that is not exactly one plain public
// key: options, several lines, types and lengths that are not safe.
func ParseAuthorizedKey(line string) (AuthorizedKey, error) {
	text, err := checkText(line)
	if err != nil {
		return AuthorizedKey{}, err
	}
	fields := strings.Fields(text)
	if err := checkType(fields); err != nil {
		return AuthorizedKey{}, err
	}
	keyType := fields[0]
	if len(fields) < 2 {
		return AuthorizedKey{}, refuse(ReasonMalformed, "nothing follows the key type %s", keyType)
	}
	blob, err := base64.StdEncoding.Strict().DecodeString(fields[1])
	if err != nil {
		return AuthorizedKey{}, refuse(ReasonMalformed, "the key data is not base64; it may have been cut while copying")
	}
	public, err := ssh.ParsePublicKey(blob)
	if err != nil {
		return AuthorizedKey{}, refuse(ReasonMalformed, "the key data is damaged; it may have been cut while copying")
	}
	if public.Type() != keyType {
		return AuthorizedKey{}, refuse(ReasonMalformed, "the line says %s but the key data is of type %s", keyType, public.Type())
	}
	if err := checkLength(public); err != nil {
		return AuthorizedKey{}, err
	}
	// The comment is cut out of the text, not joined from fields, so that its inner spaces stay.
	_, rest, _ := strings.Cut(text, fields[1])
	return AuthorizedKey{
		Type:        keyType,
		Comment:     strings.TrimSpace(rest),
		Fingerprint: ssh.FingerprintSHA256(public),
		blob:        public.Marshal(),
	}, nil
}

// checkText refuses what is not one line of text and returns it without the space around it.
func checkText(line string) (string, error) {
	if len(line) > MaxLineBytes {
		return "", refuse(ReasonTooLong, "the text is %d bytes long, at most %d are allowed", len(line), MaxLineBytes)
	}
	text := strings.TrimSpace(line)
	upper := strings.ToUpper(text)
	switch {
	case text == "" || strings.HasPrefix(text, "#"):
		return "", refuse(ReasonEmpty, "there is no key")
	case strings.Contains(upper, "PRIVATE KEY-----") || strings.HasPrefix(text, "PuTTY-User-Key-File"):
		return "", refuse(ReasonPrivateKey, "this is a private key, which must never leave your machine: hand in the file that ends in .pub")
	case strings.HasPrefix(text, "---"):
		return "", refuse(ReasonWrongFormat, "this is another key format: ssh-keygen -i -f FILE (for PEM: with -m PKCS8) converts it")
	case strings.ContainsAny(text, "\r\n\u2028\u2029\u0085"):
		return "", refuse(ReasonNotOneLine, "the text has more than one line: hand in one key at a time")
	case !utf8.ValidString(text):
		return "", refuse(ReasonBadCharacter, "the text is not valid UTF-8")
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r != '\t' && unicode.IsControl(r) }) {
		return "", refuse(ReasonBadCharacter, "the text has control characters")
	}
	return text, nil
}

func checkType(fields []string) error {
	first := fields[0]
	switch {
	case keyTypes[first]:
		return nil
	case first == "ssh-dss":
		return refuse(ReasonUnknownType, "DSA keys are obsolete and not safe: make a new key with ssh-keygen -t ed25519")
	case strings.HasSuffix(first, "-cert-v01@openssh.com"):
		return refuse(ReasonUnknownType, "certificates are not supported: hand in the plain public key")
	}
	// With options in front the key type comes later, whatever the quoting of the options is.
	if strings.Contains(first, "=") || slices.ContainsFunc(fields[1:], func(f string) bool { return keyTypes[f] }) {
		return refuse(ReasonOptions, `options such as command="…" or environment="…" in front of the key are not allowed`)
	}
	return refuse(ReasonUnknownType, "the text does not begin with a known key type (ssh-ed25519, ssh-rsa, ecdsa-sha2-nistp256/384/521, sk-…@openssh.com)")
}

func checkLength(public ssh.PublicKey) error {
	cp, ok := public.(ssh.CryptoPublicKey)
	if !ok {
		return nil
	}
	key, ok := cp.CryptoPublicKey().(*rsa.PublicKey)
	if !ok {
		return nil
	}
	if n := key.N.BitLen(); n < MinRSABits || n > maxAcceptedRSABits {
		return refuse(ReasonBadLength, "the RSA key has %d bits, want %d to %d", n, MinRSABits, maxAcceptedRSABits)
	}
	return nil
}

// ParseAuthorizedKeys checks many keys and reports all that are wrong at once. The error of the key
// at index i begins with "key i+1: "; the keys that are right are returned in any case.
func ParseAuthorizedKeys(lines []string) ([]AuthorizedKey, error) {
	keys := make([]AuthorizedKey, 0, len(lines))
	var errs []error
	for i, line := range lines {
		key, err := ParseAuthorizedKey(line)
		if err != nil {
			errs = append(errs, fmt.Errorf("key %d: %w", i+1, err))
			continue
		}
		keys = append(keys, key)
	}
	return keys, errors.Join(errs...)
}

// AuthorizedKeysFile renders the keys as the content of an authorized_keys file. The same set of keys
// gives the same bytes whatever their order is: the lines are sorted by key data, and a key that
// occurs more than once is written once, with the comment that sorts first.
func AuthorizedKeysFile(keys []AuthorizedKey) []byte {
	sorted := slices.Clone(keys)
	slices.SortFunc(sorted, func(a, b AuthorizedKey) int {
		if c := bytes.Compare(a.blob, b.blob); c != 0 {
			return c
		}
		return strings.Compare(a.Comment, b.Comment)
	})
	sorted = slices.CompactFunc(sorted, func(a, b AuthorizedKey) bool { return bytes.Equal(a.blob, b.blob) })
	var out bytes.Buffer
	for _, k := range sorted {
		out.WriteString(k.Line())
		out.WriteByte('\n')
	}
	return out.Bytes()
}
