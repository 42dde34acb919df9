// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
)

// ErrKey says that the key of the secrets cannot be used: its file is damaged, or it is not the one that they were written with.
var ErrKey = errors.New("the key of the credentials cannot be used")

// credentialKeyFile holds the AES-256 key of the secrets, beside the database: a copy of the database alone tells none of them.
const (
	credentialKeyFile = "credentials.key"
	credentialKeySize = 32
)

var bucketCredentials = []byte("credentials")

// Credential is an entry of the credential store of a folder. What is secret of it is kept encrypted and read by Secrets only.
type Credential struct {
	// Folder is the ID of the folder.
	Folder uint64 `json:"folder"`
	ID     string `json:"id"`
	// Seq orders the entries of a folder; PutCredential sets it for a new one.
	Seq         uint64 `json:"seq"`
	Description string `json:"description,omitempty"`
	// Class is the Java class of the entry.
	Class string `json:"class"`
	// Name is the user name or the name of the file, if the class has one.
	Name string `json:"name,omitempty"`
	// NameSecret says that the name is not shown.
	NameSecret bool `json:"nameSecret,omitempty"`
	// System says that its scope is that of the system: no job sees it.
	System bool `json:"system,omitempty"`
	// Used are the jobs whose builds used it.
	Used []CredentialUse `json:"used,omitempty"`
	// Sealed is what is secret, encrypted.
	Sealed []byte `json:"sealed,omitempty"`
}

// CredentialUse is a job whose builds used a credential. The job's name is kept, as it was then, and not its ID: Jenkins' answer is the
// same after the job is gone.
type CredentialUse struct {
	Job string `json:"job"`
	// Builds are their numbers, growing.
	Builds []int `json:"builds"`
}

func (c *Credential) key() []byte { return append(u64(c.Folder), c.ID...) }

// PutCredential adds or replaces an entry. secrets are what is secret of it, by name; nil leaves what is stored in c.Sealed.
func (s *Store) PutCredential(c *Credential, secrets map[string]string) error {
	if secrets != nil {
		sealed, err := s.seal(c, secrets)
		if err != nil {
			return err
		}
		c.Sealed = sealed
	}
	return s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketCredentials)
		if c.Seq == 0 {
			seq, err := b.NextSequence()
			if err != nil {
				return err
			}
			c.Seq = seq
		}
		return put(b, c.key(), c)
	})
}

// DeleteCredential removes an entry; that there is none is no error.
func (s *Store) DeleteCredential(folder uint64, id string) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketCredentials).Delete((&Credential{Folder: folder, ID: id}).key())
	})
}

// Secrets decrypts what is secret of an entry. It fails with ErrKey if the key is another one.
func (s *Store) Secrets(c *Credential) (map[string]string, error) {
	aead, err := s.cipher()
	if err != nil {
		return nil, err
	}
	if len(c.Sealed) < aead.NonceSize() {
		return nil, fmt.Errorf("read credential %q: %w", c.ID, ErrKey)
	}
	nonce, sealed := c.Sealed[:aead.NonceSize()], c.Sealed[aead.NonceSize():]
	data, err := aead.Open(nil, nonce, sealed, c.key())
	if err != nil {
		return nil, fmt.Errorf("read credential %q: %w", c.ID, ErrKey)
	}
	var out map[string]string
	if err := json.Unmarshal(data, &out); err != nil {
		return nil, fmt.Errorf("read credential %q: %w", c.ID, ErrKey)
	}
	return out, nil
}

// seal encrypts the secrets for the place that the entry has: elsewhere they cannot be read.
func (s *Store) seal(c *Credential, secrets map[string]string) ([]byte, error) {
	aead, err := s.cipher()
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(secrets)
	if err != nil {
		return nil, fmt.Errorf("write credential %q: its values cannot be encoded", c.ID)
	}
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce)
	return aead.Seal(nonce, nonce, data, c.key()), nil
}

// cipher makes the cipher of the secrets, and the key with the first use.
func (s *Store) cipher() (cipher.AEAD, error) {
	s.keyMu.Lock()
	defer s.keyMu.Unlock()
	if s.aead != nil {
		return s.aead, nil
	}
	key, err := readOrMakeKey(filepath.Join(s.dir, credentialKeyFile))
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("key of the credentials: %w", err)
	}
	if s.aead, err = cipher.NewGCM(block); err != nil {
		return nil, fmt.Errorf("key of the credentials: %w", err)
	}
	return s.aead, nil
}

func readOrMakeKey(file string) ([]byte, error) {
	key, err := os.ReadFile(file)
	switch {
	case err == nil && len(key) == credentialKeySize:
		return key, nil
	case err == nil:
		return nil, fmt.Errorf("%s: %w: it does not have %d bytes", file, ErrKey, credentialKeySize)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("read the key of the credentials: %w", err)
	}
	key = make([]byte, credentialKeySize)
	_, _ = rand.Read(key)
	if err := writeDurably(file, key); err != nil {
		return nil, fmt.Errorf("make the key of the credentials: %w", err)
	}
	return key, nil
}

// writeDurably writes a file that is either there as a whole, also after a loss of power, or not at all.
func writeDurably(file string, data []byte) error {
	part, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*") // with mode 0600
	if err != nil {
		return err
	}
	_, err = part.Write(data)
	if err = errors.Join(err, part.Sync(), part.Close()); err == nil {
		err = os.Rename(part.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(part.Name()))
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
