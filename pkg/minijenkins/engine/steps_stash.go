// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/slipway-dev/slipway/pkg/minijenkins/groovy"
)

const (
	// maxStashName bounds the name of a stash in bytes.
	maxStashName = 255
	// maxStashFile bounds a stashed file in bytes on an agent that only takes files from memory.
	maxStashFile = 64 << 20
)

// defaultExcludes are the files that stash leaves out unless useDefaultExcludes is false: those of
// version control and of editors, as Ant has them.
const defaultExcludes = "**/*~,**/#*#,**/.#*,**/%*%,**/._*,**/CVS,**/CVS/**,**/.cvsignore,**/SCCS,**/SCCS/**,**/vssver.scc," +
	"**/.svn,**/.svn/**,**/.DS_Store,**/.git,**/.git/**,**/.gitattributes,**/.gitignore,**/.gitmodules," +
	"**/.hg,**/.hg/**,**/.hgignore,**/.hgsub,**/.hgsubstate,**/.hgtags,**/.bzr,**/.bzr/**,**/.bzrignore"

func (c *stepCall) stashName() (string, error) {
	name := c.text("name")
	if strings.TrimSpace(name) == "" || len(name) > maxStashName || strings.ContainsAny(name, "/\\\x00\n\r?*%!@#$^&|<>[]:;") {
		return "", &groovy.Exception{Class: "java.lang.IllegalArgumentException", Message: c.name + ": ‘" + clip(name) + "’ is no usable name of a stash", Pos: c.pos}
	}
	if c.b.spec.Stashes == nil {
		return "", failed("This server keeps no stashes")
	}
	return name, nil
}

func stepStash(ctx context.Context, c *stepCall) (any, error) {
	name, err := c.stashName()
	if err != nil {
		return nil, err
	}
	includes, excludes := c.text("includes"), c.text("excludes")
	if includes == "" {
		includes = "**"
	}
	if v, given := c.args["useDefaultExcludes"]; !given || groovy.Truth(v) {
		excludes = strings.TrimPrefix(excludes+","+defaultExcludes, ",")
	}
	dir := flowOf(ctx).dir
	count, err := onAgent(ctx, c, func(ctx context.Context, a *agentHandle, shell string) (int, error) {
		files, err := a.Glob(ctx, dir, includes, excludes)
		if err != nil {
			return 0, err
		}
		if len(files) == 0 && !c.flag("allowEmpty") {
			return 0, failed("No files included in stash ‘%s’", name)
		}
		for _, f := range files {
			if !usablePath(f) {
				return 0, failed("The agent named a file with a bad path: %q", f)
			}
		}
		exec, err := a.executables(ctx, shell, dir, files)
		if err != nil {
			return 0, err
		}
		return len(files), c.putStash(ctx, a, name, func(z *zip.Writer) error {
			for _, f := range files {
				if err := addToStash(ctx, z, a, dir, f, exec[f]); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	c.say(fmt.Sprintf("Stashed %d file(s)", count))
	return nil, nil
}

// putStash gives the archive that fill writes to the server while it is being written.
func (c *stepCall) putStash(ctx context.Context, a *agentHandle, name string, fill func(*zip.Writer) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, w := io.Pipe()
	filled := make(chan error, 1)
	go func() {
		z := zip.NewWriter(w)
		err := fill(z)
		if err == nil {
			err = z.Close()
		}
		_ = w.CloseWithError(err) // it never fails
		filled <- err
	}()
	err := c.b.spec.Stashes.Put(ctx, name, r)
	// The archive may not be read to its end.
	cancel()
	_ = r.CloseWithError(io.ErrClosedPipe)
	fillErr := <-filled
	switch {
	case fillErr != nil && !errors.Is(fillErr, io.ErrClosedPipe):
		return fillErr
	case err != nil:
		return failed("Stash ‘%s’ of agent %s could not be kept: %v", name, a.Name(), err)
	}
	return nil
}

// usablePath tells if a path of the agent is relative, clean and of one line.
func usablePath(name string) bool {
	return fs.ValidPath(name) && name != "." && !strings.ContainsAny(name, "\x00\n\r\\")
}

func addToStash(ctx context.Context, z *zip.Writer, a *agentHandle, dir, name string, executable bool) (err error) {
	h := &zip.FileHeader{Name: name, Method: zip.Deflate}
	h.SetMode(0o644)
	if executable {
		h.SetMode(0o755)
	}
	r, err := a.Open(ctx, path.Join(dir, name))
	if err != nil {
		return fmt.Errorf("stash %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	w, err := z.CreateHeader(h)
	if err != nil {
		return fmt.Errorf("stash %s: %w", name, err)
	}
	if _, err := io.Copy(w, r); err != nil {
		return fmt.Errorf("stash %s: %w", name, err)
	}
	return nil
}

func stepUnstash(ctx context.Context, c *stepCall) (any, error) {
	name, err := c.stashName()
	if err != nil {
		return nil, err
	}
	dir := flowOf(ctx).dir
	return nil, c.onAgentOnly(ctx, func(ctx context.Context, a *agentHandle, shell string) (err error) {
		stash, err := c.b.spec.Stashes.Open(ctx, name)
		if errors.Is(err, fs.ErrNotExist) {
			return failed("No such saved stash ‘%s’", name)
		}
		if err != nil {
			return failed("Stash ‘%s’ could not be read: %v", name, err)
		}
		defer func() { err = errors.Join(err, stash.Close()) }()
		z, err := zip.NewReader(stash, stash.Size())
		if err != nil {
			return failed("Stash ‘%s’ could not be read: %v", name, err)
		}
		var exec []string
		for _, f := range z.File {
			if !usablePath(f.Name) {
				return failed("Stash ‘%s’ has a file with a bad path: %q", name, f.Name)
			}
			if err := a.restore(ctx, path.Join(dir, f.Name), f); err != nil { //nolint:gosec // the path was checked
				return err
			}
			if f.Mode()&0o100 != 0 {
				exec = append(exec, f.Name)
			}
		}
		return a.makeExecutable(ctx, shell, dir, exec)
	})
}

// restore writes one file of a stash.
func (h *agentHandle) restore(ctx context.Context, target string, f *zip.File) (err error) {
	r, err := f.Open()
	if err != nil {
		return failed("Stashed file %s could not be read: %v", f.Name, err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	size := int64(f.UncompressedSize64)
	if w, ok := h.Agent.(StreamWriter); ok {
		return w.WriteStream(ctx, target, size, r)
	}
	if size > maxStashFile {
		return failed("Stashed file %s has more than %d bytes, too much for this agent", f.Name, maxStashFile)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		return failed("Stashed file %s could not be read: %v", f.Name, err)
	}
	return h.WriteFile(ctx, target, content)
}

// executables tells which of the files, relative to dir, may be executed.
func (h *agentHandle) executables(ctx context.Context, id, dir string, files []string) (map[string]bool, error) {
	var out bytes.Buffer
	if err := h.overList(ctx, id, dir, files, `[ ! -x "./$f" ] || printf '%s\n' "$f"`, &out); err != nil {
		return nil, err
	}
	set := map[string]bool{}
	for _, name := range strings.Split(out.String(), "\n") {
		set[name] = true
	}
	return set, nil
}

func (h *agentHandle) makeExecutable(ctx context.Context, id, dir string, files []string) error {
	return h.overList(ctx, id, dir, files, `chmod +x "./$f"`, nil)
}

// overList runs a command for each file $f. The names go through a file, so that no shell reads them.
func (h *agentHandle) overList(ctx context.Context, id, dir string, files []string, command string, stdout io.Writer) error {
	if len(files) == 0 {
		return nil
	}
	list := h.Workspace() + "@tmp/" + id + ".list"
	if err := h.WriteFile(ctx, list, []byte(strings.Join(files, "\n")+"\n")); err != nil {
		return err
	}
	script := "#!/bin/sh\nwhile IFS= read -r f; do " + command + " || exit 1; done < \"$SLIPWAY_LIST\"\n"
	code, err := h.Shell(ctx, ShellRequest{ID: id, Script: script, Dir: dir, Env: map[string]string{"SLIPWAY_LIST": list}}, io.Discard, stdout)
	if err == nil && code != 0 {
		err = failed("The modes of files could not be read or set on agent %s", h.Name())
	}
	return errors.Join(err, h.RemoveAll(ctx, list))
}
