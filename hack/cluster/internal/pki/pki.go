// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package pki makes the keys and certificates of a development cluster.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	lifetime = 10 * 365 * 24 * time.Hour
	// renewBefore is how long before its end a certificate is replaced.
	renewBefore = 30 * 24 * time.Hour
)

// Authority is a certificate authority whose key and certificate are the files
// <name>.key and <name>.crt of a directory.
type Authority struct {
	dir, name string
	cert      *x509.Certificate
	key       crypto.Signer
}

// Leaf describes a certificate to be issued.
type Leaf struct {
	// Name is the base name of its files.
	Name string
	// User is the common name: Kubernetes' user name.
	User string
	// Groups are the organizations: Kubernetes' groups.
	Groups []string
	// DNS and IPs are what a server certificate is valid for. With none, the
	// certificate is a client's only.
	DNS []string
	IPs []netip.Addr
}

// OpenAuthority loads the authority called name from dir, making it first if
// it is not there.
func OpenAuthority(dir, name string) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making key directory: %w", err)
	}
	a := &Authority{dir: dir, name: name}
	cert, key, err := load(dir, name)
	if err == nil {
		a.cert, a.key = cert, key
		return a, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making key of %s: %w", name, err)
	}
	template, err := newTemplate(pkix.Name{CommonName: "slipway-" + name})
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("making certificate of %s: %w", name, err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, fmt.Errorf("reading back certificate of %s: %w", name, err)
	}
	a.key = signer
	return a, store(dir, name, der, signer)
}

// CertFile is the authority's certificate, which others need for trusting it.
func (a *Authority) CertFile() string { return filepath.Join(a.dir, a.name+".crt") }

// Pool returns the authority as a set of trusted roots.
func (a *Authority) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// Issue makes the leaf's files <name>.crt and <name>.key. Files that are
// already good for the leaf are left alone.
func (a *Authority) Issue(leaf Leaf) (certFile, keyFile string, err error) {
	certFile = filepath.Join(a.dir, leaf.Name+".crt")
	keyFile = filepath.Join(a.dir, leaf.Name+".key")
	if cert, _, err := load(a.dir, leaf.Name); err == nil && a.matches(cert, leaf) {
		return certFile, keyFile, nil
	}
	template, err := newTemplate(pkix.Name{CommonName: leaf.User, Organization: leaf.Groups})
	if err != nil {
		return "", "", err
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(leaf.DNS)+len(leaf.IPs) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	template.DNSNames = leaf.DNS
	for _, ip := range leaf.IPs {
		template.IPAddresses = append(template.IPAddresses, net.IP(ip.AsSlice()))
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", fmt.Errorf("making key of %s: %w", leaf.Name, err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return "", "", fmt.Errorf("making certificate of %s: %w", leaf.Name, err)
	}
	return certFile, keyFile, store(a.dir, leaf.Name, der, key)
}

func (a *Authority) matches(cert *x509.Certificate, leaf Leaf) bool {
	if cert.CheckSignatureFrom(a.cert) != nil || time.Until(cert.NotAfter) < renewBefore {
		return false
	}
	var ips []netip.Addr
	for _, ip := range cert.IPAddresses {
		if addr, ok := netip.AddrFromSlice(ip); ok {
			ips = append(ips, addr.Unmap())
		}
	}
	return cert.Subject.CommonName == leaf.User &&
		slices.Equal(cert.Subject.Organization, leaf.Groups) &&
		slices.Equal(cert.DNSNames, leaf.DNS) &&
		slices.Equal(ips, leaf.IPs)
}

// SigningKey returns the file of a key pair that is used without certificate:
// the one that signs ServiceAccount tokens. It is made if it is not there.
func SigningKey(dir, name string) (string, error) {
	file := filepath.Join(dir, name+".key")
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", fmt.Errorf("making key %s: %w", name, err)
	}
	// Kubernetes reads ECDSA keys for tokens in this encoding, and takes the
	// public half from the same file.
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return "", fmt.Errorf("encoding key %s: %w", name, err)
	}
	return file, writeFile(file, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}

func newTemplate(subject pkix.Name) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("making serial number: %w", err)
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      subject,
		// A clock that is set back a little must not make it invalid.
		NotBefore: now.Add(-time.Hour),
		NotAfter:  now.Add(lifetime),
	}, nil
}

func load(dir, name string) (*x509.Certificate, crypto.Signer, error) {
	certPEM, err := os.ReadFile(filepath.Join(dir, name+".crt"))
	if err != nil {
		return nil, nil, fmt.Errorf("reading certificate: %w", err)
	}
	keyPEM, err := os.ReadFile(filepath.Join(dir, name+".key"))
	if err != nil {
		return nil, nil, fmt.Errorf("reading key: %w", err)
	}
	certBlock, _ := pem.Decode(certPEM)
	keyBlock, _ := pem.Decode(keyPEM)
	if certBlock == nil || keyBlock == nil {
		return nil, nil, fmt.Errorf("the files of %s in %s are damaged", name, dir)
	}
	cert, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("parsing certificate of %s: %w", name, err)
	}
	key, err := x509.ParseECPrivateKey(keyBlock.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("parsing key of %s: %w", name, err)
	}
	return cert, key, nil
}

func store(dir, name string, der []byte, key *ecdsa.PrivateKey) error {
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("encoding key of %s: %w", name, err)
	}
	// The certificate is written last: a crash in between leaves no pair.
	if err := writeFile(filepath.Join(dir, name+".key"), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}), 0o600); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, name+".crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

// writeFile replaces a file at once, so that a crash leaves the old or the new.
func writeFile(file string, data []byte, mode fs.FileMode) error {
	tmp := file + ".tmp"
	if err := os.WriteFile(tmp, data, mode); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	if err := os.Rename(tmp, file); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}
