// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package embedded is an S3 server for one machine: what "slipway up" keeps artifacts and logs in where no object store is
// configured.
//
// The protocol is that of gofakes3; the storage is this package's. Contents are files in a folder, the index is a bbolt file.
// A content is written to a file of its own, synced and then entered into the index in one transaction. So after a crash or
// kill -9 an object is there as a whole, or in its former state; files that no entry names are removed at the next start.
//
// Every request must be signed (AWS Signature Version 4, in the header or presigned). Over plain HTTP the signature covers the
// header of a request but not its content; listen on the loopback address or put TLS in front.
package embedded

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/rclone/gofakes3"
)

// Config says where the server keeps its data and who may use it.
type Config struct {
	// Dir is the folder of the data, made if it is missing. One server at a time may use it.
	Dir string
	// Address is what to listen on, "127.0.0.1:9000". Port 0: any.
	Address string
	// AccessKey (at least 3 characters) and SecretKey (at least 8) are the only credentials. Both empty: they are
	// generated once and kept in the file "keys" in Dir.
	AccessKey string
	SecretKey string
	// Buckets are created if they are missing.
	Buckets []string
}

// Server is a running server.
type Server struct {
	accessKey, secretKey string
	store                *store
	listener             net.Listener
	http                 *http.Server
}

// New opens the data and the port; ctx bounds only that. Call Serve to answer requests, or Close to give both back.
func New(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Dir == "" {
		return nil, errors.New("embedded object store: no folder given")
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("embedded object store: %w", err)
	}
	access, secret, err := keys(cfg)
	if err != nil {
		return nil, err
	}
	st, err := openStore(cfg.Dir)
	if err != nil {
		return nil, err
	}
	for _, b := range cfg.Buckets {
		if err := st.ensureBucket(b); err != nil {
			_ = st.close()
			return nil, fmt.Errorf("embedded object store: create bucket %s: %w", b, err)
		}
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", cfg.Address)
	if err != nil {
		_ = st.close()
		return nil, fmt.Errorf("embedded object store: %w", err)
	}
	faker := gofakes3.New(st, gofakes3.WithV4Auth(map[string]string{access: secret}), gofakes3.WithoutVersioning(), gofakes3.WithIntegrityCheck(true))
	return &Server{
		accessKey: access, secretKey: secret, store: st, listener: l,
		http: &http.Server{Handler: guard(faker.Server()), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10},
	}, nil
}

// guard refuses what has no signature, which gofakes3 calls a bad request, and browsers' uploads by form, which are signed within
// the body. It also names the length of bodies that come without (minio-go sends an empty object so): gofakes3 looks for it in
// the header.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Authorization") == "" && r.URL.Query().Get("X-Amz-Signature") == "":
			refuse(w, http.StatusForbidden, "AccessDenied", "The request is not signed.")
			return
		case strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/form-data"):
			refuse(w, http.StatusNotImplemented, "NotImplemented", "Uploads by form are not supported.")
			return
		case r.Header.Get("Content-Length") != "":
		case r.ContentLength == 0:
			r.Header.Set("Content-Length", "0")
		case r.Header.Get("X-Amz-Decoded-Content-Length") != "":
			r.Header.Set("Content-Length", r.Header.Get("X-Amz-Decoded-Content-Length"))
		}
		next.ServeHTTP(w, r)
	})
}

// refuse answers in S3's form of an error.
func refuse(w http.ResponseWriter, status int, code, message string) {
	doc, err := xml.Marshal(struct {
		XMLName xml.Name `xml:"Error"`
		Code    string
		Message string
	}{Code: code, Message: message})
	if err != nil {
		http.Error(w, message, status)
		return
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = w.Write(doc)
}

// Endpoint returns "host:port", for objectstore.Config.
func (s *Server) Endpoint() string { return s.listener.Addr().String() }

// Keys returns the credentials.
func (s *Server) Keys() (accessKey, secretKey string) { return s.accessKey, s.secretKey }

// shutdownTime is how long running requests may take to end.
const shutdownTime = 10 * time.Second

// Serve answers requests until the context ends. Running requests may then end within 10 s. It closes the data.
func (s *Server) Serve(ctx context.Context) error {
	log := logr.FromContextOrDiscard(ctx)
	done := make(chan error, 1)
	go func() { done <- s.http.Serve(s.listener) }()
	log.Info("embedded object store is listening", "address", s.Endpoint())
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		// The context has ended; the time for the shutdown is its own.
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
		defer cancel()
		if err = s.http.Shutdown(stop); err != nil {
			err = errors.Join(err, s.http.Close())
		}
	}
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return errors.Join(err, s.store.close())
}

// Close gives the port and the data back without waiting. It is for a server whose Serve was not called.
func (s *Server) Close() error {
	return errors.Join(s.http.Close(), s.listener.Close(), s.store.close())
}

// keys returns the configured credentials, or those in the file, or new ones.
func keys(cfg Config) (access, secret string, err error) {
	if cfg.AccessKey != "" || cfg.SecretKey != "" {
		if len(cfg.AccessKey) < 3 || len(cfg.SecretKey) < 8 {
			return "", "", errors.New("embedded object store: the access key needs 3 characters and the secret key 8")
		}
		return cfg.AccessKey, cfg.SecretKey, nil
	}
	file := filepath.Join(cfg.Dir, "keys")
	if data, err := os.ReadFile(file); err == nil {
		if access, secret, ok := strings.Cut(strings.TrimSpace(string(data)), ":"); ok && len(access) >= 3 && len(secret) >= 8 {
			return access, secret, nil
		}
		return "", "", fmt.Errorf("embedded object store: the file %s is damaged; delete it to get new keys", file)
	} else if !errors.Is(err, os.ErrNotExist) {
		return "", "", fmt.Errorf("embedded object store: %w", err)
	}
	buf := make([]byte, 30)
	if _, err := rand.Read(buf); err != nil {
		return "", "", fmt.Errorf("embedded object store: %w", err)
	}
	access, secret = "SLIPWAY"+strings.ToUpper(hex.EncodeToString(buf[:6])), hex.EncodeToString(buf[6:])
	if err := writeFile(file, strings.NewReader(access+":"+secret+"\n")); err != nil {
		return "", "", fmt.Errorf("embedded object store: %w", err)
	}
	return access, secret, nil
}
