// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package launch

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/pkg/agent"
)

const (
	// jarPath is where a Jenkins controller offers the agent that fits it, to everybody.
	jarPath = "/jnlpJars/agent.jar"
	// maxJar bounds what is downloaded, in bytes; agent.jar has some 1.5 MB.
	maxJar = 64 << 20
	// maxManifest bounds the part of a jar that is read, in bytes.
	maxManifest = 64 << 10
	jarTimeout  = 30 * time.Second
	// agentClass is the class that agent.jar starts.
	agentClass = "hudson.remoting.Launcher"
)

// errNotReady says that Jenkins is starting; it may be asked again.
var errNotReady = errors.New("Jenkins is not ready") //nolint:staticcheck // Jenkins is a name

// fetchJar downloads agent.jar from the controller if the image does not bring it. It gives the file to
// remove at the end; empty if there is none.
func (c *config) fetchJar(ctx context.Context) (remove string, err error) {
	if _, err := os.Stat(c.jar); err == nil {
		return "", nil
	}
	source, err := url.JoinPath(c.url, jarPath)
	if err != nil {
		return "", agent.Fail(agent.ExitConfig, "BadEnvironment", "%s is not an http(s) URL", envURL)
	}
	path, err := c.download(ctx, source)
	if err != nil {
		return "", agent.Fail(agent.ExitConfig, "AgentJarUnavailable",
			"%s: %v: the agent's image brings no agent.jar, and Jenkins must give it", source, err)
	}
	c.jar = path
	return path, nil
}

// download tries until it works or the time is over: a Jenkins that starts answers 503.
func (c *config) download(ctx context.Context, source string) (path string, err error) {
	deadline := time.Now().Add(c.connect)
	for pause := 200 * time.Millisecond; ; pause *= 2 {
		path, err = downloadOnce(ctx, source)
		if !errors.Is(err, errNotReady) || time.Now().Add(pause).After(deadline) {
			return path, err
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(pause):
		}
	}
}

func downloadOnce(ctx context.Context, source string) (path string, err error) {
	ctx, cancel := context.WithTimeout(ctx, jarTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, source, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", withoutURL(err)
	}
	defer func() { _ = resp.Body.Close() }()
	switch {
	case resp.StatusCode == http.StatusServiceUnavailable:
		return "", fmt.Errorf("%w: HTTP %d", errNotReady, resp.StatusCode)
	case resp.StatusCode != http.StatusOK:
		return "", fmt.Errorf("HTTP %d", resp.StatusCode)
	}
	file, err := tempFile()
	if err != nil {
		return "", err
	}
	defer func() {
		err = errors.Join(err, file.Close())
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	size, err := io.Copy(file, io.LimitReader(resp.Body, maxJar+1))
	switch {
	case err != nil:
		return "", withoutURL(err)
	case size > maxJar:
		return "", fmt.Errorf("it is longer than %d MiB", maxJar>>20)
	case resp.ContentLength >= 0 && size != resp.ContentLength:
		return "", fmt.Errorf("it ended after %d of %d bytes", size, resp.ContentLength)
	}
	return file.Name(), checkJar(file, size)
}

// withoutURL: the URL stands in the message already.
func withoutURL(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}

// tempFile makes a file that only this user can change. The folder of slipway-agent is read-only here.
func tempFile() (*os.File, error) {
	var errs []error
	for _, dir := range []string{os.TempDir(), "/dev/shm"} {
		file, err := os.CreateTemp(dir, ".slipway-agent-*.jar")
		if err == nil {
			return file, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// checkJar makes sure that the file is the agent and not, say, the login page of a proxy.
func checkJar(file io.ReaderAt, size int64) error {
	archive, err := zip.NewReader(file, size)
	if err != nil {
		return fmt.Errorf("what came is no jar: %w", err)
	}
	manifest, err := archive.Open("META-INF/MANIFEST.MF")
	if err != nil {
		return fmt.Errorf("what came is no jar: %w", err)
	}
	defer func() { _ = manifest.Close() }()
	text, err := io.ReadAll(io.LimitReader(manifest, maxManifest))
	if err != nil {
		return fmt.Errorf("what came is no jar: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); name == "Main-Class" && strings.TrimSpace(value) == agentClass {
			return nil
		}
	}
	return errors.New("what came is a jar, but not Jenkins' agent")
}
