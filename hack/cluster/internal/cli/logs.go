// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/hack/cluster/internal/layout"
)

// followInterval is how often a followed log is read.
const followInterval = 200 * time.Millisecond

func logsCommand(g *globals) *cobra.Command {
	var follow bool
	var lines int
	cmd := &cobra.Command{
		Use:       "logs [component]",
		Short:     "Show the logs of the cluster's programs",
		Long:      "Show the log of one program, or the last lines of all of them.",
		Args:      cobra.MaximumNArgs(1),
		ValidArgs: componentNames(),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := g.layout()
			if err != nil {
				return err
			}
			names := componentNames()
			if len(args) == 1 {
				if !slices.Contains(names, args[0]) {
					return fmt.Errorf("there is no component %q, only %s", args[0], strings.Join(names, ", "))
				}
				names = args
			}
			return showLogs(cmd.Context(), l, names, lines, follow, cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on showing what is added")
	cmd.Flags().IntVarP(&lines, "tail", "n", 40, "how many lines of each log to show at first")
	return cmd
}

func showLogs(ctx context.Context, l layout.Layout, names []string, lines int, follow bool, out io.Writer) error {
	prefixed := len(names) > 1
	offsets := map[string]int64{}
	emit := func(name string, text string) error {
		for line := range strings.Lines(text) {
			if prefixed {
				line = name + ": " + line
			}
			if _, err := io.WriteString(out, line); err != nil {
				return err
			}
		}
		return nil
	}
	found := false
	for _, name := range names {
		text, size, err := readFrom(filepath.Join(l.Logs(), name+".log"), 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		found = true
		offsets[name] = size
		if err := emit(name, lastLines(text, lines)); err != nil {
			return err
		}
	}
	if !found && !follow {
		return fmt.Errorf("there are no logs in %s", l.Logs())
	}
	ticker := time.NewTicker(followInterval)
	defer ticker.Stop()
	for follow {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		for _, name := range names {
			text, size, err := readFrom(filepath.Join(l.Logs(), name+".log"), offsets[name])
			if err != nil {
				continue // it may be put aside at this moment
			}
			offsets[name] = size
			if err := emit(name, text); err != nil {
				return err
			}
		}
	}
	return nil
}

// readFrom returns a file's content from an offset on, up to its last whole
// line, and where that ends. A file that got shorter is read from its start.
func readFrom(name string, offset int64) (text string, end int64, err error) {
	f, err := os.Open(name)
	if err != nil {
		return "", 0, fmt.Errorf("reading log: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", 0, fmt.Errorf("reading log: %w", err)
	}
	if info.Size() < offset {
		offset = 0
	}
	b, err := io.ReadAll(io.NewSectionReader(f, offset, info.Size()-offset))
	if err != nil {
		return "", 0, fmt.Errorf("reading log: %w", err)
	}
	whole := strings.LastIndexByte(string(b), '\n') + 1
	return string(b[:whole]), offset + int64(whole), nil
}

func lastLines(text string, n int) string {
	at := len(text)
	for range n + 1 {
		i := strings.LastIndexByte(text[:at], '\n')
		if i < 0 {
			return text
		}
		at = i
	}
	return text[at+1:]
}
