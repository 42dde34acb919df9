// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// pageSize and deepPage are how lists are asked for.
const pageSize, deepPage = 20, 100

// measurement measures one server with the runs that it has.
type measurement struct {
	*options
	server *server
	// cluster is nil if the server was not started by the bench.
	cluster *cluster
	// inPipeline is how many runs the busy pipeline has, total how many there are.
	inPipeline, total int
	// page is the last page, or deepPage if there are so many.
	page int
	// one is the name of a run, version the newest resourceVersion that is known.
	one, version string
}

func (m *measurement) collection() string {
	return "/kapis/devops.kubesphere.io/v1alpha3/namespaces/" + url.PathEscape(m.namespace)
}

func (m *measurement) runsPath() string {
	return m.collection() + "/pipelines/" + url.PathEscape(m.pipeline) + "/pipelineruns"
}

func (m *measurement) listPath(page int) string {
	return m.runsPath() + "?page=" + strconv.Itoa(page) + "&limit=" + strconv.Itoa(pageSize)
}

// runList is what is needed of a list.
type runList struct {
	Items []struct {
		Metadata struct {
			Name            string `json:"name"`
			ResourceVersion string `json:"resourceVersion"`
		} `json:"metadata"`
	} `json:"items"`
	TotalItems int `json:"totalItems"`
	// ResourceVersion is that of the list; not all servers say it.
	ResourceVersion string `json:"resourceVersion"`
}

func newMeasurement(ctx context.Context, o *options, s *server) (*measurement, error) {
	m := &measurement{options: o, server: s}
	list, err := m.list(ctx, m.listPath(1))
	if err != nil {
		return nil, err
	}
	if len(list.Items) != pageSize {
		return nil, fmt.Errorf("pipeline %s/%s has %d runs, want at least %d", m.namespace, m.pipeline, list.TotalItems, pageSize)
	}
	m.inPipeline, m.total = list.TotalItems, list.TotalItems
	m.page = min(deepPage, m.inPipeline/pageSize)
	m.one = list.Items[0].Metadata.Name
	newest := 0
	for _, item := range list.Items {
		if n, err := strconv.Atoi(item.Metadata.ResourceVersion); err == nil {
			newest = max(newest, n)
		}
	}
	if m.version = list.ResourceVersion; m.version == "" {
		m.version = strconv.Itoa(newest)
	}
	for i := range projects {
		// A server with other data has none of these.
		if name := projectName(i); name != m.namespace {
			if other, err := m.list(ctx, "/kapis/devops.kubesphere.io/v1alpha3/namespaces/"+name+"/pipelineruns?limit=1"); err == nil {
				m.total += other.TotalItems
			}
		} else if all, err := m.list(ctx, m.collection()+"/pipelineruns?limit=1"); err == nil {
			m.total += all.TotalItems - m.inPipeline
		}
	}
	status, _, err := s.get(ctx, "/metrics")
	s.hasMetrics = err == nil && status == http.StatusOK
	return m, nil
}

func (m *measurement) list(ctx context.Context, path string) (*runList, error) {
	status, body, err := m.server.get(ctx, path)
	if err != nil {
		return nil, err
	}
	list := &runList{}
	if status != http.StatusOK {
		return nil, fmt.Errorf("%s: %d %.500s", path, status, body)
	}
	if err := json.Unmarshal(body, list); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return list, nil
}

// all measures everything.
func (m *measurement) all(ctx context.Context) (*result, error) {
	r := &result{Server: m.server.name, Runs: m.total, Busy: m.inPipeline, Ready: millis(m.server.ready), idle: m.usageSettled(ctx)}
	for _, request := range []struct{ name, path string }{
		{opFirstPage, m.listPath(1)},
		{opDeepPage, m.listPath(m.page)},
		{opGet, m.collection() + "/pipelineruns/" + url.PathEscape(m.one)},
	} {
		progress("%s, %d runs: %s", m.server.name, m.total, request.name)
		l, err := m.load(ctx, request.path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", request.name, err)
		}
		l.Name = request.name
		if request.name == opDeepPage {
			l.Name = fmt.Sprintf("%s %d", opDeepPage, m.page)
		}
		r.Requests = append(r.Requests, *l)
	}
	r.loaded = m.usageSettled(ctx)
	if m.watchers > 0 {
		progress("%s, %d runs: %d watchers", m.server.name, m.total, m.watchers)
		var err error
		if r.Watch, err = m.fanOut(ctx); err != nil {
			return nil, fmt.Errorf("watch: %w", err)
		}
	}
	r.remember(m.usageSettled(ctx))
	return r, nil
}

// usageSettled looks at the memory after a moment without requests.
func (m *measurement) usageSettled(ctx context.Context) usage {
	select {
	case <-ctx.Done():
	case <-time.After(2 * time.Second):
	}
	u, err := m.server.usage(ctx)
	if err != nil {
		return usage{rss: math.NaN(), peak: math.NaN()}
	}
	return u
}

// errNoAnswers says that there was nothing to measure.
var errNoAnswers = errors.New("no answers")

// load sends one request again and again over all connections.
func (m *measurement) load(ctx context.Context, path string) (*requests, error) {
	request := m.server.request(path)
	var phase atomic.Int32 // 0 warm-up, 1 measured, 2 over
	workers := make([]*worker, m.connections)
	var wg sync.WaitGroup
	for i := range workers {
		c, err := m.server.newConn(ctx)
		if err != nil {
			return nil, err
		}
		defer func() { _ = c.Close() }()
		workers[i] = &worker{conn: c, times: make([]time.Duration, 0, 1<<16)}
	}
	for _, w := range workers {
		wg.Go(func() { w.work(request, &phase) })
	}
	before, err := m.snapshot(ctx, m.warmUp)
	phase.Store(1)
	after, err2 := m.snapshot(ctx, m.duration)
	phase.Store(2)
	wg.Wait()
	if err := errors.Join(err, err2, ctx.Err()); err != nil {
		return nil, err
	}
	return summary(workers, before, after)
}

// snapshot is what all that take part have used at a moment.
type snapshot struct {
	at                time.Time
	server            usage
	driver, kube      time.Duration
	driverErr, srvErr error
}

func (m *measurement) snapshot(ctx context.Context, wait time.Duration) (snapshot, error) {
	select {
	case <-ctx.Done():
	case <-time.After(wait):
	}
	s := snapshot{at: time.Now(), kube: m.cluster.cpu()}
	s.driver, s.driverErr = ownCPU()
	s.server, s.srvErr = m.server.usage(ctx)
	return s, errors.Join(s.driverErr, s.srvErr)
}

// worker is one connection and what it has seen while it was measured.
type worker struct {
	conn  *conn
	times []time.Duration
	bytes int64
	err   error
}

func (w *worker) work(request []byte, phase *atomic.Int32) {
	for {
		now := phase.Load()
		const over = 2
		if now == over {
			return
		}
		began := time.Now()
		if err := w.conn.SetDeadline(began.Add(callTimeout)); err != nil {
			w.err = err
			return
		}
		status, size, err := w.conn.do(request)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d", status)
		}
		if err != nil {
			w.err = err
			return
		}
		if now == 1 {
			w.times = append(w.times, time.Since(began))
			w.bytes += size
		}
	}
}

func summary(workers []*worker, before, after snapshot) (*requests, error) {
	var times []time.Duration
	var size int64
	for _, w := range workers {
		if w.err != nil {
			return nil, w.err
		}
		times = append(times, w.times...)
		size += w.bytes
	}
	if len(times) == 0 {
		return nil, errNoAnswers
	}
	slices.Sort(times)
	n, took := float64(len(times)), after.at.Sub(before.at).Seconds()
	return &requests{
		PerSecond: number(n / took), Count: len(times), Bytes: number(float64(size) / n),
		P50: millis(quantile(times, 0.5)), P99: millis(quantile(times, 0.99)), Max: millis(times[len(times)-1]),
		CPU:         number((after.server.cpu - before.server.cpu) * 1000 / n),
		Allocations: number((after.server.allocations - before.server.allocations) / n),
		Allocated:   number((after.server.allocated - before.server.allocated) / n),
		DriverCPU:   millis(time.Duration(float64(after.driver-before.driver) / n)),
		KubeCores:   number((after.kube - before.kube).Seconds() / took),
		ServerCores: number((after.server.cpu - before.server.cpu) / took),
	}, nil
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
