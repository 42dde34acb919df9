// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package minijenkins

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestKillMany kills the server while more builds are there than it has executors: some run, some wait for an
// executor, and all of them for the same lock.
func TestKillMany(t *testing.T) {
	const builds, executors = 16, 4
	kills := max(2, number(t, "SLIPWAY_KILLS", 6)/2)
	seed := number(t, "SLIPWAY_SEED", int(time.Now().UnixNano()%1_000_000))
	t.Logf("SLIPWAY_KILLS=%d SLIPWAY_SEED=%d", kills*2, seed)
	random := rand.New(rand.NewPCG(uint64(seed), 1))
	d := newDaemon(t, "--executors", fmt.Sprint(executors))
	counter := filepath.Join(t.TempDir(), "counter")
	d.start()
	job := func(i int) string { return fmt.Sprintf("m%02d", i) }
	var want []string
	for i := range builds {
		name := job(i)
		d.job(name, "pipeline { agent any\n stages { stage('only') { steps {\n"+shell(name+"x", counter, 6)+
			"lock('one') { sh '''#!/bin/sh\necho "+name+"y >> "+counter+"; mkdir "+counter+".held || exit 9; sleep 0.03; rmdir "+counter+".held; echo locked''' }\n"+
			shell(name+"z", counter, 3)+"} } } }")
		want = append(want, name+"x", name+"y", name+"z")
	}
	for i := range builds {
		d.build(job(i))
	}
	followers := make([]*follower, builds)
	for i := range builds {
		followers[i] = d.follow(job(i), 1, nil)
	}
	for range kills {
		pause := time.Duration(random.Int64N(int64(800 * time.Millisecond)))
		time.Sleep(pause)
		d.kill()
		t.Logf("killed %s after its start", pause.Round(time.Millisecond))
		d.start()
	}
	k := &killer{daemon: d}
	var first []string
	for i := range builds {
		name := job(i)
		got, log := d.trace(name, 1)
		if got.Result != "SUCCESS" {
			t.Errorf("%s ended %s:\n%s", name, got.Result, log)
			continue
		}
		k.checkFollower(followers[i], log)
		lines := slices.DeleteFunc(got.Lines, func(l string) bool {
			return strings.Contains(l, "aiting") || strings.Contains(l, "is locked by") || strings.HasPrefix(l, "Running on ")
		})
		for n := range lines {
			lines[n] = strings.ReplaceAll(lines[n], name, "NAME")
		}
		if first == nil {
			first = lines
			t.Logf("lines of %s:\n%s", name, log)
		}
		if diff := cmp.Diff(first, lines); diff != "" {
			t.Errorf("the log of %s differs from that of another build (-other +this):\n%s\n%s", name, diff, log)
		}
	}
	data, err := os.ReadFile(counter)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, slices.Sorted(slices.Values(strings.Fields(string(data))))); diff != "" {
		t.Errorf("scripts did not run exactly once (-want +got):\n%s", diff)
	}
	k.checkLeft()
}

// TestKillInput kills the server while a build waits for an answer and at once after it got one.
func TestKillInput(t *testing.T) {
	d := newDaemon(t)
	counter := filepath.Join(t.TempDir(), "counter")
	d.start()
	d.job("ask", "pipeline { agent any\n stages { stage('ask') { steps { script {\n"+
		"def v = input(message: 'go?', id: 'Ask', parameters: [string(name: 'P', defaultValue: 'd')])\n"+
		"echo \"got ${v}\"\n sh \"echo ${v} >> "+counter+"\" } } } } }")
	pending := func(n int) {
		d.wait("the question is asked", 10*time.Millisecond, func() (bool, error) {
			var list []struct{ ID string }
			err := d.getJSON(fmt.Sprintf("/job/ask/%d/wfapi/pendingInputActions", n), &list)
			if isStatus(err, 404) {
				err = nil
			}
			return len(list) == 1, err
		})
	}
	const rounds = 4
	var want []string
	k := &killer{daemon: d}
	for n := 1; n <= rounds; n++ {
		d.build("ask")
		f := d.follow("ask", n, nil)
		pending(n)
		d.kill()
		d.start()
		pending(n)
		value := fmt.Sprintf("value%d", n)
		want = append(want, value)
		if err := d.post(fmt.Sprintf("/job/ask/%d/wfapi/inputSubmit?inputId=Ask", n), "application/x-www-form-urlencoded",
			url.Values{"json": {`{"parameter":[{"name":"P","value":"` + value + `"}]}`}}.Encode()); err != nil {
			t.Fatal(err)
		}
		if n > 1 {
			// At once, then ever later.
			time.Sleep(time.Duration(n-2) * 5 * time.Millisecond)
			d.kill()
			d.start()
		}
		got, log := d.trace("ask", n)
		k.checkFollower(f, log)
		if got.Result != "SUCCESS" || strings.Count(log, "\ngot "+value+"\n") != 1 {
			t.Errorf("#%d ended %s with the log:\n%s", n, got.Result, log)
		}
	}
	data, err := os.ReadFile(counter)
	if diff := cmp.Diff(want, strings.Fields(string(data))); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
