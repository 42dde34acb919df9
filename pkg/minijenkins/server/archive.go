// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"archive/zip"
	"html"
	"io"
	"net/http"
	"path"
	"strings"

	"k8s.io/klog/v2"

	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// zippedDir tells if a path asks for a folder as an archive, as in "out/*zip*/out.zip", and which folder; "." is that of all artifacts.
func zippedDir(name string) (dir string, ok bool) {
	rest, file := path.Split(name)
	dir, ok = strings.CutSuffix(rest, "*zip*/")
	return path.Clean(dir), ok && strings.HasSuffix(file, ".zip")
}

// artifactZip sends the artifacts below a folder as an archive. As in Jenkins the names in it begin with the name of the folder.
func (s *Server) artifactZip(c *call, b *store.Build, dir string) {
	list, err := s.store.Artifacts(b.Key())
	if err != nil {
		fail500(c.w, c.r, "the artifacts cannot be read")
		return
	}
	prefix, top := "", "archive/"
	if dir != "." {
		prefix, top = dir+"/", path.Base(dir)+"/"
	}
	var inside []store.Artifact
	for _, a := range list {
		if strings.HasPrefix(a.Path, prefix) {
			inside = append(inside, a)
		}
	}
	if len(inside) == 0 {
		fail404(c.w)
		return
	}
	c.w.Header().Set("Content-Type", "application/zip")
	c.w.WriteHeader(http.StatusOK)
	out := zip.NewWriter(c.w)
	for _, a := range inside {
		if err := s.zipOne(out, b.Key(), a.Path, top+strings.TrimPrefix(a.Path, prefix)); err != nil {
			// The status is out: a broken archive must not look whole.
			klog.FromContext(c.r.Context()).Error(err, "artifacts could not be sent")
			panic(http.ErrAbortHandler)
		}
	}
	if err := out.Close(); err != nil {
		panic(http.ErrAbortHandler)
	}
}

func (s *Server) zipOne(out *zip.Writer, k store.BuildKey, name, as string) error {
	f, err := s.store.OpenArtifact(k, name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	w, err := out.CreateHeader(&zip.FileHeader{Name: as, Method: zip.Deflate, Modified: st.ModTime()})
	if err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return err
}

// artifactFingerprint is the page about the fingerprint of an artifact.
func (s *Server) artifactFingerprint(c *call, b *store.Build, name string) {
	list, err := s.store.Fingerprints(b.Key())
	if err != nil {
		fail500(c.w, c.r, "the fingerprints cannot be read")
		return
	}
	for _, f := range list {
		if f.Path == name {
			mark(c.w)
			writePage(c.w, http.StatusOK, typeHTML, page(path.Base(name)+" [Jenkins]",
				"<h1>"+html.EscapeString(path.Base(name))+"</h1><div class=\"md5sum\">MD5: "+f.Hash+"</div>"))
			return
		}
	}
	fail404(c.w)
}
