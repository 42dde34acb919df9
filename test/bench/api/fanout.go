// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

const (
	// deliveryTimeout bounds the wait for the last watcher.
	deliveryTimeout = time.Minute
	// markAnnotation carries the number of the write, by which the event is known.
	markAnnotation = "slipway.dev/bench-mark"
)

// errNoWatch says that the server has no watches: it answers with a list, or not at all.
var errNoWatch = errors.New("the server does not watch")

// audience are all watchers.
type audience struct {
	// arrived gets the key of each event, from each watcher.
	arrived chan string
	// bytes is how many the watchers got, of all events.
	bytes atomic.Int64
	wg    sync.WaitGroup
	conns []io.Closer
}

// fanOut opens the watchers and writes a run again and again, each time when all watchers have the last event.
func (m *measurement) fanOut(ctx context.Context) (*fanOut, error) {
	a := &audience{arrived: make(chan string, 4*m.watchers)}
	before, err := m.server.usage(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, c := range a.conns {
			_ = c.Close()
		}
		a.wg.Wait()
	}()
	if err := m.open(ctx, a); errors.Is(err, errNoWatch) {
		return &fanOut{Note: err.Error()}, nil
	} else if err != nil {
		return nil, err
	}
	opened := m.usageSettled(ctx)
	f := &fanOut{Watchers: m.watchers, PerWatcher: number((opened.rss - before.rss) / float64(m.watchers) * 1024)}
	var times []time.Duration
	// With the first write everything has arrived that was written before the watchers came.
	if _, err := m.deliver(ctx, a, 0); err != nil {
		return nil, err
	}
	a.bytes.Store(0)
	start, err := m.server.usage(ctx)
	if err != nil {
		return nil, err
	}
	kube := m.cluster.cpu()
	for i := range m.writes {
		took, err := m.deliver(ctx, a, i+1)
		if err != nil {
			return nil, err
		}
		times = append(times, took)
	}
	after, err := m.server.usage(ctx)
	if err != nil {
		return nil, err
	}
	slices.Sort(times)
	events := float64(m.writes * m.watchers)
	f.P50, f.Max = millis(quantile(times, 0.5)), millis(times[len(times)-1])
	f.Bytes = number(float64(a.bytes.Load()) / events)
	f.CPU = number((after.cpu - start.cpu) * 1000 / events)
	f.KubeCPU = number((m.cluster.cpu() - kube).Seconds() * 1000 / events)
	return f, nil
}

// deliver writes a run and waits until all watchers know.
func (m *measurement) deliver(ctx context.Context, a *audience, i int) (time.Duration, error) {
	began := time.Now()
	event, cleanUp, err := m.write(ctx, i)
	if err != nil {
		return 0, err
	}
	if err := a.wait(ctx, event); err != nil {
		return 0, err
	}
	return time.Since(began), cleanUp()
}

// open opens the watchers, one after the other.
func (m *measurement) open(ctx context.Context, a *audience) error {
	request := m.server.request(m.runsPath() + "?watch=true&resourceVersion=" + m.version)
	for range m.watchers {
		c, err := m.server.dial(ctx)
		if err != nil {
			return err
		}
		a.conns = append(a.conns, c)
		if err := c.SetDeadline(time.Now().Add(callTimeout)); err != nil {
			return err
		}
		if _, err := c.Write(request); err != nil {
			return err
		}
		r := bufio.NewReader(c)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK || resp.ContentLength >= 0 {
			_ = resp.Body.Close()
			return fmt.Errorf("%w: %s", errNoWatch, resp.Status)
		}
		a.wg.Go(func() {
			defer func() { _ = resp.Body.Close() }()
			a.follow(resp.Body)
		})
	}
	return nil
}

// follow reads events until the connection ends.
func (a *audience) follow(body io.Reader) {
	lines := bufio.NewReader(body)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		a.bytes.Add(int64(len(line)))
		if key := keyOf(line); key != "" {
			a.arrived <- key
		}
	}
}

// key is what an event is known by.
func key(kind, name, mark string) string { return kind + " " + name + " " + mark }

// keyOf gives the key of an event without decoding it: hundreds of watchers share the cores with the server.
func keyOf(line []byte) string {
	after := func(prefix string) string {
		_, rest, _ := bytes.Cut(line, []byte(prefix))
		text, _, _ := bytes.Cut(rest, []byte(`"`))
		return string(text)
	}
	name := after(`"metadata":{"name":"`)
	if name == "" {
		return ""
	}
	return key(after(`"type":"`), name, after(`"`+markAnnotation+`":"`))
}

// wait waits until all watchers have seen an event.
func (a *audience) wait(ctx context.Context, wanted string) error {
	timeout := time.After(deliveryTimeout)
	for left := len(a.conns); left > 0; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timeout:
			return fmt.Errorf("%d of %d watchers have not seen the event %q after %s", left, len(a.conns), wanted, deliveryTimeout)
		case key := <-a.arrived:
			if key == wanted {
				left--
			}
		}
	}
	return nil
}

// write changes a run past the server, as controllers do, and gives the key of the event. Without a cluster of its own
// the bench starts a run through the server, and deletes it again.
func (m *measurement) write(ctx context.Context, i int) (event string, cleanUp func() error, err error) {
	nothing := func() error { return nil }
	if m.cluster != nil {
		mark := strconv.Itoa(i)
		run := &devopsv1alpha3.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: m.namespace, Name: m.one}}
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, markAnnotation, mark)
		return key("MODIFIED", m.one, mark), nothing, m.cluster.client.Patch(ctx, run, client.RawPatch(types.MergePatchType, patch))
	}
	status, body, err := m.server.send(ctx, http.MethodPost, m.runsPath(), "{}")
	if err != nil {
		return "", nil, err
	}
	var made struct {
		Metadata struct {
			Name string `json:"name"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(body, &made); err != nil || made.Metadata.Name == "" {
		return "", nil, fmt.Errorf("start a run: %d %.300s", status, body)
	}
	return key("ADDED", made.Metadata.Name, ""), func() error {
		_, _, err := m.server.send(ctx, http.MethodDelete, m.collection()+"/pipelineruns/"+url.PathEscape(made.Metadata.Name), "")
		return err
	}, nil
}
