// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package scm

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/slipway-dev/slipway/pkg/egress"
)

// The ConfigMap, in the system namespace, with the servers that were added while Slipway runs.
const (
	ServersConfigMap = "slipway-scm-servers"
	ServersKey       = "servers.yaml"
)

const (
	maxServers    = 500
	maxServerName = 253
	// serversAge is how long the ConfigMap is not read again.
	serversAge = 15 * time.Second
)

// Server is a source code server that people can choose by name.
type Server struct {
	// Name is what it is called; gitlab_source.server_name of a Pipeline is one.
	Name string `json:"name"`
	// Provider is its kind.
	Provider Provider `json:"provider"`
	// URL is the address of its pages.
	URL string `json:"url"`
}

// publicServers are there without being configured.
var publicServers = []Server{
	{"github.com", GitHub, "https://github.com"}, {"gitlab.com", GitLab, "https://gitlab.com"}, {"gitea.com", Gitea, "https://gitea.com"},
	{"bitbucket.org", BitbucketCloud, "https://bitbucket.org"},
}

// check says what is wrong with a server, and writes it in one way.
func (s *Server) check() error {
	s.Name, s.URL = strings.TrimSpace(s.Name), strings.TrimRight(strings.TrimSpace(s.URL), "/")
	switch {
	case s.Name == "" || len(s.Name) > maxServerName || s.Name != oneLine(s.Name):
		return failure(Invalid, "a server needs a name, of one line and at most %d bytes", maxServerName)
	case len(s.URL) > 2048:
		return failure(Invalid, "the address of server %q is too long", s.Name)
	}
	provider, err := ParseProvider(string(s.Provider))
	if err != nil {
		return err
	}
	if provider == BitbucketServer && isBitbucketOrg(s.URL) {
		provider = BitbucketCloud
	}
	s.Provider = provider
	if _, err := egress.ParseURL(s.URL); err != nil {
		return failure(Invalid, "the address of server %q is not usable: %s", s.Name, strings.TrimPrefix(err.Error(), egress.ErrRefused.Error()+": "))
	}
	return nil
}

// parseServers reads a list in YAML.
func parseServers(data []byte) ([]Server, error) {
	var list []Server
	if err := yaml.UnmarshalStrict(data, &list); err != nil {
		return nil, fmt.Errorf("the list of servers is not valid: %w", err)
	}
	if len(list) > maxServers {
		return nil, fmt.Errorf("the list of servers has %d entries; the limit is %d", len(list), maxServers)
	}
	for i := range list {
		if err := list[i].check(); err != nil {
			return nil, fmt.Errorf("entry %d of the list of servers: %w", i+1, err)
		}
	}
	return list, nil
}

// LoadServers reads the file of --scm-servers-file: a YAML list of name, provider and url. Without a path
// there are none.
func LoadServers(path string) ([]Server, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--scm-servers-file: %w", err)
	}
	list, err := parseServers(data)
	if err != nil {
		return nil, fmt.Errorf("--scm-servers-file: %w", err)
	}
	return list, nil
}

// Directory knows the servers: those of the configuration, those that were added, and the public ones.
type Directory struct {
	configured []Server
	reader     client.Reader
	namespace  string

	mu    sync.Mutex
	read  time.Time
	added []Server
}

// NewDirectory makes a directory. The ConfigMap is read with the reader's rights from the namespace;
// without a reader none is.
func NewDirectory(configured []Server, reader client.Reader, namespace string) *Directory {
	return &Directory{configured: configured, reader: reader, namespace: namespace}
}

// List gives the servers of a kind, all without one. Of two of a name the first counts: that of the
// configuration before those that were added.
func (d *Directory) List(ctx context.Context, provider Provider) ([]Server, error) {
	added, err := d.additions(ctx)
	if err != nil {
		return nil, err
	}
	var out []Server
	for _, s := range slices.Concat(d.configured, added, publicServers) {
		known := slices.ContainsFunc(out, func(o Server) bool { return o.Provider == s.Provider && o.Name == s.Name })
		if (provider == "" || s.Provider == provider) && !known {
			out = append(out, s)
		}
	}
	return out, nil
}

// Find gives a server by its name. GitLab's "default" is gitlab.com if none is called so, as in Jenkins.
func (d *Directory) Find(ctx context.Context, provider Provider, name string) (Server, error) {
	list, err := d.List(ctx, provider)
	if err != nil {
		return Server{}, err
	}
	for _, s := range list {
		if s.Name == name {
			return s, nil
		}
	}
	if provider == GitLab && (name == "" || name == "default") {
		return publicServers[1], nil
	}
	names := make([]string, 0, len(list))
	for _, s := range list {
		names = append(names, s.Name)
	}
	return Server{}, failure(NotFound, "there is no server of the name %q; there are: %s", oneLine(name), strings.Join(names, ", "))
}

// additions gives the servers of the ConfigMap, which is read now and then.
func (d *Directory) additions(ctx context.Context) ([]Server, error) {
	if d.reader == nil {
		return nil, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.read.IsZero() && time.Since(d.read) < serversAge {
		return d.added, nil
	}
	list, err := readServers(ctx, d.reader, d.namespace, &corev1.ConfigMap{})
	if err != nil {
		return nil, err
	}
	d.added, d.read = list, time.Now()
	return list, nil
}

// readServers reads the ConfigMap into cm.
func readServers(ctx context.Context, c client.Reader, namespace string, cm *corev1.ConfigMap) ([]Server, error) {
	err := c.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ServersConfigMap}, cm)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	list, err := parseServers([]byte(cm.Data[ServersKey]))
	if err != nil {
		return nil, failure(ServerError, "ConfigMap %s/%s: %v", namespace, ServersConfigMap, err)
	}
	return list, nil
}

// Add adds a server, with the rights of c: it writes the ConfigMap. A server of the same name and kind is
// replaced.
func (d *Directory) Add(ctx context.Context, c client.Client, s Server) (Server, error) {
	if err := s.check(); err != nil {
		return s, err
	}
	same := func(o Server) bool { return o.Name == s.Name && o.Provider == s.Provider }
	if slices.ContainsFunc(d.configured, same) {
		return s, failure(Conflict, "server %q is in the configuration of Slipway; take another name", s.Name)
	}
	err := retry.OnError(retry.DefaultRetry, func(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }, func() error {
		cm := &corev1.ConfigMap{}
		list, err := readServers(ctx, c, d.namespace, cm)
		if err != nil {
			return err
		}
		list = append(slices.DeleteFunc(list, same), s)
		if len(list) > maxServers {
			return failure(Invalid, "there are %d servers already; remove some from ConfigMap %s/%s", maxServers, d.namespace, ServersConfigMap)
		}
		text, err := yaml.Marshal(list)
		if err != nil {
			return fmt.Errorf("write the list of servers: %w", err)
		}
		if cm.Data == nil {
			cm.Data = map[string]string{}
		}
		cm.Data[ServersKey] = string(text)
		if cm.ResourceVersion == "" {
			cm.Namespace, cm.Name = d.namespace, ServersConfigMap
			return c.Create(ctx, cm)
		}
		return c.Update(ctx, cm)
	})
	d.mu.Lock()
	d.read = time.Time{}
	d.mu.Unlock()
	return s, err
}
