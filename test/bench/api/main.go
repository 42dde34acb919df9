// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Command api measures what lists, reads and watches of PipelineRuns cost a server.
//
// Without --server it starts everything itself: a kube-apiserver with etcd, PipelineRuns as large as real ones, and
// the apiserver of this project as a process of its own, anew for each number of runs. With --server it measures
// servers that run already, one after the other, and puts them side by side.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	ctrl "sigs.k8s.io/controller-runtime"
)

// errMissed says that the measurement worked and a limit was missed.
var errMissed = errors.New("limits were missed")

// options are the flags.
type options struct {
	// runs are the numbers of runs to measure with, ascending.
	runs []int
	// duration is how long each request is measured, warmUp how long it is sent before that.
	duration, warmUp time.Duration
	connections      int
	// watchers is how many watches are open at once, writes how often one of the watched runs is written.
	watchers, writes int
	output           string
	// assets is the folder of kube-apiserver and etcd, binary the apiserver to start.
	assets, binary string
	// serve leaves all running instead of measuring.
	serve bool

	servers, tokens, pids []string
	namespace, pipeline   string
}

func (o *options) addFlags(flags *pflag.FlagSet) {
	flags.IntSliceVar(&o.runs, "runs", o.runs, "numbers of PipelineRuns to measure with; the default is $BENCH_RUNS if it is set")
	flags.DurationVar(&o.duration, "duration", 8*time.Second, "how long each kind of request is measured")
	flags.DurationVar(&o.warmUp, "warm-up", 2*time.Second, "how long each kind of request is sent before that")
	flags.IntVar(&o.connections, "connections", 16, "keep-alive connections, each with one request at a time")
	flags.IntVar(&o.watchers, "watchers", 500, "watches that are open at once; 0 leaves them out")
	flags.IntVar(&o.writes, "writes", 20, "how often a watched run is written")
	flags.StringVarP(&o.output, "output", "o", "table", "table or json")
	flags.StringVar(&o.assets, "assets", o.assets, "folder of kube-apiserver and etcd; the default is $KUBEBUILDER_ASSETS if it is set")
	flags.StringVar(&o.binary, "apiserver", ".run/bin/apiserver", "the apiserver to start")
	flags.BoolVar(&o.serve, "serve", false, "start and fill everything, say how to reach it, and leave it running instead of measuring")
	flags.StringArrayVar(&o.servers, "server", nil, "NAME=URL of a server that runs already; may be repeated, the others are compared with the first")
	flags.StringArrayVar(&o.tokens, "token", nil, "[NAME=]TOKEN for --server; without a name for all")
	flags.StringArrayVar(&o.pids, "pid", nil, "[NAME=]PID of a --server on this machine, for its CPU time and memory; otherwise they come from /metrics")
	flags.StringVar(&o.namespace, "namespace", projectName(0), "namespace of the busy pipeline")
	flags.StringVar(&o.pipeline, "pipeline", pipelineName(0), "the busy pipeline, of which runs are listed")
	flags.StringArrayVar(&o.servers, "base", nil, "the same as --server")
	_ = flags.MarkHidden("base")
}

func newOptions() (*options, error) {
	o := &options{runs: []int{1000, 10_000, 50_000}, assets: ".run/bin"}
	if dir := os.Getenv("KUBEBUILDER_ASSETS"); dir != "" {
		o.assets = dir
	}
	if text := os.Getenv("BENCH_RUNS"); text != "" {
		o.runs = nil
		for part := range strings.SplitSeq(text, ",") {
			n, err := strconv.Atoi(strings.TrimSpace(part))
			if err != nil {
				return nil, fmt.Errorf("BENCH_RUNS: %w", err)
			}
			o.runs = append(o.runs, n)
		}
	}
	return o, nil
}

func (o *options) validate() error {
	for i, n := range o.runs {
		if n < minRuns || i > 0 && n <= o.runs[i-1] {
			return fmt.Errorf("--runs: want ascending numbers of at least %d, got %v", minRuns, o.runs)
		}
	}
	switch {
	case len(o.runs) == 0:
		return errors.New("--runs: want at least one number")
	case o.duration <= 0 || o.warmUp < 0 || o.connections < 1 || o.watchers < 0 || o.writes < 1:
		return errors.New("--duration, --connections and --writes must be positive")
	case o.output != "table" && o.output != "json":
		return fmt.Errorf("--output: want table or json, got %q", o.output)
	}
	return nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, pflag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench-api:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	ctrl.SetLogger(logr.Discard())
	o, err := newOptions()
	if err != nil {
		return err
	}
	flags := pflag.NewFlagSet("api", pflag.ContinueOnError)
	o.addFlags(flags)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := o.validate(); err != nil {
		return err
	}
	r := newReport(o)
	if len(o.servers) > 0 {
		err = measureGiven(ctx, o, r)
	} else {
		err = measureOwn(ctx, o, r)
	}
	if err != nil || o.serve {
		return err
	}
	if err := r.print(os.Stdout, o.output); err != nil {
		return err
	}
	if missed := r.missed(); len(missed) > 0 {
		return fmt.Errorf("%w: %s", errMissed, strings.Join(missed, "; "))
	}
	return nil
}

// measureGiven measures servers that run already.
func measureGiven(ctx context.Context, o *options, r *report) error {
	servers, err := o.givenServers()
	if err != nil {
		return err
	}
	for _, s := range servers {
		m, err := newMeasurement(ctx, o, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		result, err := m.all(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		r.add(result)
	}
	return nil
}

// measureOwn starts everything itself. The cluster is used for all numbers of runs, the server under test starts anew.
func measureOwn(ctx context.Context, o *options, r *report) (err error) {
	progress("starting kube-apiserver and etcd")
	c, err := startCluster(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	for _, n := range o.runs {
		if err := c.grow(ctx, n); err != nil {
			return err
		}
		if o.serve && n < o.runs[len(o.runs)-1] {
			continue
		}
		if err := c.measureServer(ctx, o, r); err != nil {
			return fmt.Errorf("%d runs: %w", n, err)
		}
	}
	r.judge()
	return nil
}

// measureServer starts the server under test, measures it and ends it.
func (c *cluster) measureServer(ctx context.Context, o *options, r *report) (err error) {
	s, err := c.startServer(ctx, o.binary)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if o.serve {
		progress("serving %d runs at %s; KUBECONFIG=%s; stop with Ctrl-C; token:\n%s", c.seeded, s.base, c.kubeconfig, s.token)
		<-ctx.Done()
		return nil
	}
	m, err := c.waitComplete(ctx, o, s)
	if err != nil {
		return err
	}
	result, err := m.all(ctx)
	if err != nil {
		return err
	}
	r.add(result)
	return nil
}

// waitComplete waits until the server shows all runs: the kube-apiserver may have learned of the last ones after the
// server's first list.
func (c *cluster) waitComplete(ctx context.Context, o *options, s *server) (*measurement, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for {
		m, err := newMeasurement(ctx, o, s)
		if err != nil {
			return nil, err
		}
		if m.total == c.seeded {
			m.cluster = c
			return m, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("the server shows %d runs, want %d", m.total, c.seeded)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

var began = time.Now()

// progress says on stderr how far the bench is; stdout has the result only.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%6.1f s  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
}
