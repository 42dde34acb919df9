// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
)

// fakeShell runs what the recorded pipelines have in sh, without a process: in a bubble of synctest
// the clock stands still while a process runs. It knows echo, sleep, mkdir -p, exit, true, a
// redirection at the end and a loop over words on one line.
func fakeShell(ctx context.Context, req engine.ShellRequest, out, stdout io.Writer) (int, error) {
	if stdout == nil {
		stdout = out
	}
	sh := &shell{ctx: ctx, dir: req.Dir, env: map[string]string{}, out: out, stdout: stdout}
	for k, v := range req.Env {
		sh.env[k] = v
	}
	var code exitCode
	err := sh.run(req.Script)
	// Jenkins looks now and then if a script has ended.
	if err == nil {
		err = sh.command([]string{"sleep", "0.25"})
	}
	switch {
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case errors.As(err, &code):
		return int(code), nil
	}
	return 0, err
}

type exitCode int

func (c exitCode) Error() string { return "exit " + strconv.Itoa(int(c)) }

type shell struct {
	ctx         context.Context
	dir         string
	env         map[string]string
	out, stdout io.Writer
}

func (sh *shell) run(script string) error {
	for script = strings.TrimSpace(script); script != ""; {
		if rest, ok := strings.CutPrefix(script, "for "); ok {
			loop, after, _ := strings.Cut(rest, "done")
			head, body, _ := strings.Cut(loop, "; do ")
			name, words, _ := strings.Cut(head, " in ")
			for _, w := range strings.Fields(words) {
				sh.env[name] = w
				if err := sh.run(strings.Trim(body, "; ")); err != nil {
					return err
				}
			}
			script = strings.TrimLeft(after, "; \n")
			continue
		}
		end := strings.IndexAny(script, ";\n")
		if end < 0 {
			end = len(script)
		}
		if err := sh.command(sh.words(script[:end])); err != nil {
			return err
		}
		script = strings.TrimLeft(script[min(end, len(script)):], "; \n")
	}
	return nil
}

// words splits a command and puts variables in.
func (sh *shell) words(line string) []string {
	var out []string
	var b strings.Builder
	in := false
	var quote rune
	for _, r := range line + " " {
		switch {
		case r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote, in = r, true
		case quote == 0 && r == ' ':
			if in {
				out = append(out, os.Expand(b.String(), func(n string) string { return sh.env[n] }))
			}
			b.Reset()
			in = false
		default:
			b.WriteRune(r)
			in = true
		}
	}
	return out
}

func (sh *shell) command(words []string) error {
	if len(words) == 0 {
		return nil
	}
	to := sh.stdout
	if n := len(words); n > 2 && words[n-2] == ">" {
		f, err := os.Create(filepath.Join(sh.dir, words[n-1]))
		if err != nil {
			return err
		}
		defer f.Close()
		to, words = f, words[:n-2]
	}
	if words[0] != "sleep" || words[1] != "0.25" {
		fmt.Fprintln(sh.out, "+ "+strings.Join(words, " "))
	}
	switch words[0] {
	case "echo":
		fmt.Fprintln(to, strings.Join(words[1:], " "))
	case "true":
	case "mkdir":
		return os.MkdirAll(filepath.Join(sh.dir, words[2]), 0o700)
	case "exit":
		n, err := strconv.Atoi(words[1])
		if err != nil {
			return err
		}
		return exitCode(n)
	case "sleep":
		s, err := strconv.ParseFloat(words[1], 64)
		if err != nil {
			return err
		}
		t := time.NewTimer(time.Duration(s * float64(time.Second)))
		defer t.Stop()
		select {
		case <-t.C:
		case <-sh.ctx.Done():
			return sh.ctx.Err()
		}
	default:
		return exitCode(127)
	}
	return nil
}
