// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/pkg/jenkinsfile"
	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/gitremote"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

const (
	// propLibraries is the property of a folder with shared libraries, libraryConfiguration one of them.
	propLibraries        = "org.jenkinsci.plugins.workflow.libs.FolderLibraries"
	libraryConfiguration = "org.jenkinsci.plugins.workflow.libs.LibraryConfiguration"

	// libraryTimeout bounds how long a library is fetched.
	libraryTimeout = 2 * time.Minute
)

// libraryLimit bounds what is kept of a library.
var libraryLimit = gitremote.FilesLimit{Count: 2000, Bytes: 16 << 20}

// LibraryConfig is a shared library that a folder or the server offers, as Jenkins' LibraryConfiguration.
type LibraryConfig struct {
	// Name is how Jenkinsfiles call it. Remote is its git repository, CredentialsID the credential for it in the folder of the job.
	Name, Remote, CredentialsID string
	// Path is the folder of the library in the repository; empty for its top.
	Path string
	// DefaultVersion is the branch, tag or commit that counts if a Jenkinsfile names none; empty if it must.
	DefaultVersion string
	// Implicit gives it to every build.
	Implicit bool
	// FixedVersion keeps Jenkinsfiles from naming another version than DefaultVersion.
	FixedVersion bool
	// unknown is the class of a retriever that only Jenkins has.
	unknown string
}

// librariesOf reads the property of a folder.
func librariesOf(prop *element) []LibraryConfig {
	list := prop.child("libraries")
	if list == nil {
		return nil
	}
	var out []LibraryConfig
	for _, e := range list.children {
		if e.name != libraryConfiguration {
			continue
		}
		l := LibraryConfig{Name: strings.TrimSpace(e.value("name")), DefaultVersion: strings.TrimSpace(e.value("defaultVersion")),
			Implicit: strings.TrimSpace(e.value("implicit")) == "true", FixedVersion: strings.TrimSpace(e.value("allowVersionOverride")) == "false"}
		retriever := e.child("retriever")
		scm := retriever.child("scm")
		if scm == nil || l.Name == "" {
			continue
		}
		l.Path = strings.TrimSpace(retriever.value("libraryPath"))
		switch scm.attrs["class"] {
		case sourceGit:
			l.Remote, l.CredentialsID = strings.TrimSpace(scm.value("remote")), strings.TrimSpace(scm.value("credentialsId"))
		case "hudson.plugins.git.GitSCM":
			const remote = "hudson.plugins.git.UserRemoteConfig"
			l.Remote = strings.TrimSpace(scm.value("userRemoteConfigs", remote, "url"))
			l.CredentialsID = strings.TrimSpace(scm.value("userRemoteConfigs", remote, "credentialsId"))
		default:
			l.unknown = scm.attrs["class"]
		}
		out = append(out, l)
	}
	return out
}

// libraryConfigs are the libraries that a job sees, the nearest folder's first. s.mu is held, at least for reading.
func (s *Server) libraryConfigs(job *item) []LibraryConfig {
	var out []LibraryConfig
	for it := job.up; it != nil; it = it.up {
		out = append(out, it.cfg.libraries...)
	}
	return append(out, s.cfg.Libraries...)
}

// libraries implements engine.Libraries.
type libraries struct{ r *buildRun }

// configured completes a request from the configuration.
func (l libraries) configured(req engine.LibraryRequest) (LibraryConfig, error) {
	if req.Remote != "" {
		return LibraryConfig{Name: req.Name, Remote: req.Remote, CredentialsID: req.CredentialsID, DefaultVersion: req.Version}, nil
	}
	s := l.r.s
	s.mu.RLock()
	configs := s.libraryConfigs(l.r.job)
	s.mu.RUnlock()
	i := slices.IndexFunc(configs, func(c LibraryConfig) bool { return c.Name == req.Name })
	switch {
	case i < 0:
		return LibraryConfig{}, fmt.Errorf("No library named %s found", req.Name) //nolint:staticcheck // it is Jenkins' message
	case configs[i].unknown != "":
		return LibraryConfig{}, fmt.Errorf("library %s: minijenkins reads git repositories, not %s; use Jenkins for it", req.Name, configs[i].unknown)
	}
	c := configs[i]
	switch {
	case req.Version != "" && req.Version != c.DefaultVersion && c.FixedVersion:
		return c, fmt.Errorf("Version override not permitted for library %s", req.Name) //nolint:staticcheck // it is Jenkins' message
	case req.Version != "":
		c.DefaultVersion = req.Version
	}
	if c.DefaultVersion == "" {
		return c, fmt.Errorf("No version specified for library %s", req.Name) //nolint:staticcheck // it is Jenkins' message
	}
	return c, nil
}

// Resolve implements engine.Libraries.
func (l libraries) Resolve(ctx context.Context, req engine.LibraryRequest, say func(string)) (engine.LibraryPin, error) {
	c, err := l.configured(req)
	if err != nil {
		return engine.LibraryPin{}, err
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{c.Name, c.DefaultVersion, c.Remote, c.Path}, "\x00")))
	id := hex.EncodeToString(sum[:10])
	s := l.r.s
	for _, k := range l.keepers() {
		lib, err := s.store.Library(k, id)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && k != l.r.key {
			say("Using the library as build #" + strconv.Itoa(k.Number) + " had it: revision " + lib.Commit)
			err = s.store.PutLibrary(l.r.key, lib)
		}
		if err != nil {
			return engine.LibraryPin{}, err
		}
		return lib.LibraryPin, nil
	}
	say("Attempting to resolve " + c.DefaultVersion + " from remote references...")
	ctx, cancel := context.WithTimeout(ctx, libraryTimeout)
	defer cancel()
	lib, err := s.fetchLibrary(ctx, l.r.job, c)
	if err != nil {
		return engine.LibraryPin{}, fmt.Errorf("library %s: %w", c.Name, err)
	}
	lib.ID = id
	say("Found match: revision " + lib.Commit)
	if err := s.store.PutLibrary(l.r.key, lib); err != nil {
		return engine.LibraryPin{}, err
	}
	return lib.LibraryPin, nil
}

// keepers are the builds that may have a library already: this one, and the one that it runs again.
func (l libraries) keepers() []store.BuildKey {
	out := []store.BuildKey{l.r.key}
	for _, c := range l.r.causes {
		if c.Replay > 0 {
			k := l.r.key
			k.Number = c.Replay
			out = append(out, k)
		}
	}
	return out
}

// Open implements engine.Libraries.
func (l libraries) Open(pin engine.LibraryPin) (*engine.Library, error) {
	return l.r.s.store.Library(l.r.key, pin.ID)
}

// fetchLibrary reads a library from its repository.
func (s *Server) fetchLibrary(ctx context.Context, job *item, c LibraryConfig) (lib *engine.Library, err error) {
	remote, err := s.openRemote(job, c.Remote, c.CredentialsID)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, remote.Close()) }()
	refs, err := remote.List(ctx)
	if err != nil {
		return nil, err
	}
	head, ok := refs.Find(c.DefaultVersion)
	if !ok {
		if head, ok = refs.Exact(c.DefaultVersion); !ok {
			return nil, fmt.Errorf("No version %s found for library %s", c.DefaultVersion, c.Name) //nolint:staticcheck // it is Jenkins' message
		}
	}
	below := strings.TrimPrefix(path.Clean("/"+c.Path), "/")
	files, err := remote.Files(ctx, head, libraryLimit, func(name string) (listed, read bool) {
		name, ok := under(below, name)
		if !ok {
			return false, false
		}
		switch top, rest, _ := strings.Cut(name, "/"); top {
		case "vars":
			is := strings.HasSuffix(rest, ".groovy") && !strings.Contains(rest, "/")
			return is, is
		case "src":
			return strings.HasSuffix(rest, ".groovy"), false
		case "resources":
			return true, true
		}
		return false, false
	})
	if err != nil {
		return nil, err
	}
	lib = &engine.Library{LibraryPin: engine.LibraryPin{Name: c.Name, Version: c.DefaultVersion, Commit: head.Commit}, Vars: map[string]string{}, Resources: map[string][]byte{}}
	for name, data := range files {
		name, _ = under(below, name)
		switch top, rest, _ := strings.Cut(name, "/"); top {
		case "vars":
			lib.Vars[strings.TrimSuffix(rest, ".groovy")] = string(data)
		case "src":
			lib.Classes = append(lib.Classes, strings.ReplaceAll(strings.TrimSuffix(rest, ".groovy"), "/", "."))
		default:
			lib.Resources[rest] = data
		}
	}
	slices.Sort(lib.Classes)
	if len(lib.Vars) == 0 && len(lib.Classes) == 0 {
		return nil, fmt.Errorf("Library %s expected to contain at least one of src or vars directories", c.Name) //nolint:staticcheck // it is Jenkins' message
	}
	return lib, nil
}

// under gives a path relative to a folder; ok is false if it is not below it.
func under(folder, name string) (string, bool) {
	if folder == "" {
		return name, true
	}
	return strings.CutPrefix(name, folder+"/")
}

// loadLibraries resolves the libraries that the Jenkinsfile names before it runs and those that every build has. A build that goes on has
// those that it had.
func (r *buildRun) loadLibraries(plan *store.Plan, planned bool, p *jenkinsfile.Pipeline) ([]*engine.Library, error) {
	source := libraries{r}
	if !planned {
		wanted, err := engine.LibrariesOf(p)
		if err != nil {
			return nil, err
		}
		if err := r.resolveLibraries(plan, r.withImplicit(wanted)); err != nil {
			return nil, err
		}
	}
	out := make([]*engine.Library, 0, len(plan.Libraries))
	for _, pin := range plan.Libraries {
		lib, err := source.Open(pin)
		if err != nil {
			return nil, fmt.Errorf("library %s: %w", pin.Name, err)
		}
		out = append(out, lib)
	}
	return out, engine.CheckLibraries(out)
}

// withImplicit adds the libraries that every build has.
func (r *buildRun) withImplicit(wanted []engine.LibraryRequest) []engine.LibraryRequest {
	r.s.mu.RLock()
	defer r.s.mu.RUnlock()
	for _, c := range r.s.libraryConfigs(r.job) {
		if c.Implicit && !slices.ContainsFunc(wanted, func(w engine.LibraryRequest) bool { return w.Name == c.Name }) {
			wanted = append(wanted, engine.LibraryRequest{Name: c.Name})
		}
	}
	return wanted
}

func (r *buildRun) resolveLibraries(plan *store.Plan, wanted []engine.LibraryRequest) error {
	note := func(line string) { plan.Notes = append(plan.Notes, line) }
	for i, req := range wanted {
		if slices.ContainsFunc(wanted[:i], func(w engine.LibraryRequest) bool { return w.Name == req.Name }) {
			note("Only using first definition of library " + req.Name)
			continue
		}
		note("Loading library " + req.String())
		pin, err := libraries{r}.Resolve(r.ctx, req, note)
		if err != nil {
			return err
		}
		plan.Libraries = append(plan.Libraries, pin)
	}
	return nil
}
