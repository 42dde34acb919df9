// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package proc

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"testing"
)

func TestParseStat(t *testing.T) {
	cases := map[string]struct {
		reason, line string
		want         Stat
		bad          bool
	}{
		"plain":  {"", "7 (sh) S 1 7 6 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 99887 1 2", Stat{PID: 7, PPID: 1, PGID: 7, Session: 6, State: 'S', StartTime: 99887}, false},
		"name":   {"a name may look like the rest", "7 (x) Z 9 (y)) R 1 7 6 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 5 1", Stat{PID: 7, PPID: 1, PGID: 7, Session: 6, State: 'R', StartTime: 5}, false},
		"short":  {"", "7 (sh) S 1 7", Stat{}, true},
		"empty":  {"", "", Stat{}, true},
		"no pid": {"", "7 (sh) S x 7 6 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 5 1", Stat{}, true},
	}
	for name, tc := range cases {
		got, err := parseStat(7, []byte(tc.line))
		if (err != nil) != tc.bad || err == nil && got != tc.want {
			t.Errorf("%s: %s: got %+v, %v", name, tc.reason, got, err)
		}
	}
}

func TestIdentity(t *testing.T) {
	me, err := Identify(os.Getpid())
	if err != nil || !me.Alive() {
		t.Fatalf("%+v, %v", me, err)
	}
	for name, other := range map[string]Identity{
		"other start": {me.PID, me.StartTime + 1, me.BootID},
		"other boot":  {me.PID, me.StartTime, "x"},
	} {
		if other.Alive() {
			t.Errorf("%s: a process of the same number is taken for it", name)
		}
	}
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	child, err := Identify(cmd.Process.Pid)
	if err != nil || !child.Alive() {
		t.Fatalf("%+v, %v", child, err)
	}
	below, err := Descendants(os.Getpid())
	if err != nil || len(below) != 1 || below[0].PID != child.PID {
		t.Errorf("descendants %+v, %v", below, err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if child.Alive() {
		t.Error("a dead process is alive")
	}
	if _, err := Identify(child.PID); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
