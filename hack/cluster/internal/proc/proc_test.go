// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package proc

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeTable makes a proc directory with one process.
func fakeTable(t *testing.T, pid int, stat string) Table {
	t.Helper()
	root := t.TempDir()
	files := map[string]string{
		"sys/kernel/random/boot_id":  "boot-1\n",
		fmt.Sprintf("%d/stat", pid):  stat,
		"self-is-not-a-process/stat": "",
	}
	for name, content := range files {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Table{Root: root}
}

func stat(name, state string, start int) string {
	return fmt.Sprintf("42 (%s) %s 1 42 42 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %d 0 0\n", name, state, start)
}

func TestIdentify(t *testing.T) {
	for _, tc := range []struct {
		name, stat string
		want       ID
		gone       bool
	}{
		{"plain", stat("sleep", "S", 777), ID{42, 777, "boot-1"}, false},
		{"name that looks like fields", stat("a) Z (b c", "R", 5), ID{42, 5, "boot-1"}, false},
		{"zombie", stat("sleep", "Z", 777), ID{}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := fakeTable(t, 42, tc.stat).Identify(42)
			if errors.Is(err, ErrNotRunning) != tc.gone || got != tc.want {
				t.Errorf("got %v and %v, want %v (gone: %t)", got, err, tc.want, tc.gone)
			}
		})
	}
	if _, err := fakeTable(t, 42, "").Identify(43); !errors.Is(err, ErrNotRunning) {
		t.Errorf("a process that is not there: %v", err)
	}
	if _, err := fakeTable(t, 42, "nonsense").Identify(42); err == nil {
		t.Error("a damaged stat file was taken")
	}
}

func TestPIDFileOutlivesReuse(t *testing.T) {
	table := fakeTable(t, 42, stat("supervisor", "S", 100))
	file := filepath.Join(t.TempDir(), "pid")
	if _, err := table.ReadFile(file); !errors.Is(err, ErrNotRunning) {
		t.Errorf("no pid file: %v", err)
	}
	if err := table.WriteFile(file, 42); err != nil {
		t.Fatal(err)
	}
	if id, err := table.ReadFile(file); err != nil || id.PID != 42 {
		t.Errorf("the running process: %v, %v", id, err)
	}
	for _, tc := range []struct{ name, file, content string }{
		{"another start time", table.path("42/stat"), stat("supervisor", "S", 101)},
		{"another boot", table.path("sys/kernel/random/boot_id"), "boot-2\n"},
		{"a damaged file", file, "42"},
	} {
		good, err := os.ReadFile(tc.file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(tc.file, []byte(tc.content), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := table.ReadFile(file); !errors.Is(err, ErrNotRunning) {
			t.Errorf("%s: got %v, want ErrNotRunning", tc.name, err)
		}
		if err := os.WriteFile(tc.file, good, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := table.ReadFile(file); err != nil {
		t.Errorf("the process is back, but: %v", err)
	}
}

func TestRealTable(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("no proc file system on this operating system")
	}
	id, err := Table{}.Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if !(Table{}).Running(id) || strings.TrimSpace(id.Boot) == "" {
		t.Errorf("this process does not run: %v", id)
	}
	id.StartTime++
	if (Table{}).Running(id) {
		t.Error("a process with another start time runs")
	}
}
