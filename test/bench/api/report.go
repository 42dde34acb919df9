// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"runtime"
	"text/tabwriter"
	"time"
)

// The limits.
const (
	limitRuns = 10_000
	// At limitRuns a page of a list costs the server at most maxListCPU milliseconds, minPerSecond of them are answered,
	// and of 100 one at most takes longer than maxP99 milliseconds.
	maxListCPU, minPerSecond, maxP99 = 0.7, 2000, 30
	// costFrom and costTo are the numbers of runs between which the cost of a page grows by maxGrowth at most.
	costFrom, costTo, maxGrowth = 1000, 50_000, 1.5
	// Memory in MiB.
	maxMemory, maxPeak = 150, 200
	manyRuns           = 50_000
	maxMemoryMany      = 600
)

// The kinds of requests.
const (
	opFirstPage = "list page 1"
	opDeepPage  = "list page"
	opGet       = "get"
)

// number is one that may be unknown: NaN, which is null in JSON.
type number float64

// MarshalJSON implements json.Marshaler.
func (n number) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(n)) || math.IsInf(float64(n), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(math.Round(float64(n)*1e4) / 1e4)
}

func (n number) text(format string) string {
	if math.IsNaN(float64(n)) {
		return "–"
	}
	return fmt.Sprintf(format, float64(n))
}

func millis(d time.Duration) number { return number(d.Seconds() * 1000) }

// requests is what one kind of request was like.
type requests struct {
	Name string `json:"name"`
	// Count is how many were answered, PerSecond in each second.
	Count     int    `json:"count"`
	PerSecond number `json:"perSecond"`
	// P50, P99 and Max are times in milliseconds.
	P50 number `json:"p50Millis"`
	P99 number `json:"p99Millis"`
	Max number `json:"maxMillis"`
	// Bytes is the length of an answer's body.
	Bytes number `json:"bytes"`
	// CPU is what the server works for one, DriverCPU what the bench does, in milliseconds.
	CPU       number `json:"serverCPUMillis"`
	DriverCPU number `json:"driverCPUMillis"`
	// Allocations is how many pieces of memory one takes, Allocated how many bytes.
	Allocations number `json:"allocations"`
	Allocated   number `json:"allocatedBytes"`
	// ServerCores and KubeCores are how many cores the server, and kube-apiserver with etcd, keep busy.
	ServerCores number `json:"serverCores"`
	KubeCores   number `json:"kubeCores"`
}

// fanOut is what watches are like.
type fanOut struct {
	Note     string `json:"note,omitempty"`
	Watchers int    `json:"watchers"`
	// P50 and Max are the times from the beginning of a write to its arrival at the last watcher, in milliseconds.
	P50 number `json:"lastWatcherP50Millis"`
	Max number `json:"lastWatcherMaxMillis"`
	// Bytes, CPU and KubeCPU (milliseconds, of kube-apiserver and etcd) are for one event of one watcher.
	Bytes   number `json:"bytes"`
	CPU     number `json:"serverCPUMillis"`
	KubeCPU number `json:"kubeCPUMillis"`
	// PerWatcher is by how much a watcher makes the resident set grow, in KiB.
	PerWatcher number `json:"kibPerWatcher"`
}

// memory is the resident set in MiB.
type memory struct {
	// Idle is after the start, Loaded after the lists and reads.
	Idle   number `json:"idle"`
	Loaded number `json:"loaded"`
	// Peak is the greatest until then, PeakWatched also with watchers.
	Peak        number `json:"peak"`
	PeakWatched number `json:"peakWatched"`
}

// result is one server with one number of runs.
type result struct {
	Server string `json:"server"`
	Runs   int    `json:"runs"`
	Busy   int    `json:"runsOfBusyPipeline"`
	// Ready is how long a server of ours took to read all of them, in milliseconds.
	Ready    number     `json:"readyMillis"`
	Requests []requests `json:"requests"`
	Watch    *fanOut    `json:"watch,omitempty"`
	Memory   memory     `json:"memoryMiB"`

	idle, loaded usage
}

// remember notes the memory, watched is what is used in the end.
func (r *result) remember(watched usage) {
	r.Memory = memory{Idle: number(r.idle.rss), Loaded: number(r.loaded.rss), Peak: number(r.loaded.peak), PeakWatched: number(watched.peak)}
}

// verdict is a limit and whether it was kept.
type verdict struct {
	What     string `json:"what"`
	Limit    string `json:"limit"`
	Measured number `json:"measured"`
	OK       bool   `json:"ok"`
}

// report is what is printed.
type report struct {
	Machine string    `json:"machine"`
	Results []*result `json:"results"`
	Limits  []verdict `json:"limits,omitempty"`

	connections int
}

func newReport(o *options) *report {
	return &report{
		Machine:     fmt.Sprintf("%d cores shared by driver, server, kube-apiserver and etcd; %s", runtime.NumCPU(), runtime.Version()),
		connections: o.connections,
	}
}

func (r *report) add(result *result) { r.Results = append(r.Results, result) }

// judge compares what was measured with the limits.
func (r *report) judge() {
	var few, many *result
	for _, result := range r.Results {
		switch result.Runs {
		case costFrom:
			few = result
		case costTo:
			many = result
		}
		switch result.Runs {
		case limitRuns:
			r.judgeLists(result)
			r.most(fmt.Sprintf("memory idle, %d runs, MiB", limitRuns), result.Memory.Idle, maxMemory)
			r.most(fmt.Sprintf("memory after the requests, %d runs, MiB", limitRuns), result.Memory.Loaded, maxMemory)
			r.most(fmt.Sprintf("memory at its peak, %d runs, MiB", limitRuns), result.Memory.Peak, maxPeak)
		case manyRuns:
			r.most(fmt.Sprintf("memory idle, %d runs, MiB", manyRuns), result.Memory.Idle, maxMemoryMany)
			r.most(fmt.Sprintf("memory after the requests, %d runs, MiB", manyRuns), result.Memory.Loaded, maxMemoryMany)
		}
	}
	if few == nil || many == nil {
		return
	}
	for i := range min(len(few.Requests), len(many.Requests)) {
		r.most(fmt.Sprintf("%s: CPU at %d runs : CPU at %d", many.Requests[i].Name, costTo, costFrom),
			many.Requests[i].CPU/few.Requests[i].CPU, maxGrowth)
	}
}

func (r *report) judgeLists(result *result) {
	for _, q := range result.Requests {
		if q.Name == opGet {
			continue
		}
		what := fmt.Sprintf("%s, %d runs: ", q.Name, result.Runs)
		r.most(what+"server CPU, ms", q.CPU, maxListCPU)
		r.Limits = append(r.Limits, verdict{what + "requests a second", fmt.Sprintf("≥ %d", minPerSecond), q.PerSecond, q.PerSecond >= minPerSecond})
		r.most(what+"p99, ms", q.P99, maxP99)
	}
}

// most adds a limit that must not be exceeded; what is unknown exceeds it.
func (r *report) most(what string, measured number, limit float64) {
	r.Limits = append(r.Limits, verdict{what, fmt.Sprintf("≤ %g", limit), measured, float64(measured) <= limit})
}

// missed are the limits that were missed, in words.
func (r *report) missed() []string {
	var texts []string
	for _, v := range r.Limits {
		if !v.OK {
			texts = append(texts, fmt.Sprintf("%s %s (%s)", v.What, v.Measured.text("%.2f"), v.Limit))
		}
	}
	return texts
}

func (r *report) print(out io.Writer, format string) error {
	if format == "json" {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "\n%s; %d connections\n", r.Machine, r.connections)
	fmt.Fprintln(w, "\nserver\truns\trequest\treq/s\tp50 ms\tp99 ms\tbytes\tCPU ms\tallocations\talloc kB\tserver cores\tkube cores\tdriver ms")
	for _, result := range r.Results {
		for _, q := range result.Requests {
			fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", result.Server, result.Runs, q.Name,
				q.PerSecond.text("%.0f"), q.P50.text("%.2f"), q.P99.text("%.2f"), q.Bytes.text("%.0f"), q.CPU.text("%.3f"),
				q.Allocations.text("%.0f"), (q.Allocated / 1000).text("%.0f"), q.ServerCores.text("%.2f"), q.KubeCores.text("%.2f"), q.DriverCPU.text("%.3f"))
		}
	}
	fmt.Fprintln(w, "\nserver\truns\twatchers\tlast watcher p50 ms\tmax ms\tbytes an event\tCPU ms an event\tkube CPU ms\tKiB a watcher")
	for _, result := range r.Results {
		switch f := result.Watch; {
		case f == nil:
		case f.Note != "":
			fmt.Fprintf(w, "%s\t%d\t%s\n", result.Server, result.Runs, f.Note)
		default:
			fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t%s\n", result.Server, result.Runs, f.Watchers, f.P50.text("%.1f"), f.Max.text("%.1f"),
				f.Bytes.text("%.0f"), f.CPU.text("%.4f"), f.KubeCPU.text("%.4f"), f.PerWatcher.text("%.0f"))
		}
	}
	fmt.Fprintln(w, "\nserver\truns\tMiB idle\tafter requests\tpeak\tpeak with watchers\tready s")
	for _, result := range r.Results {
		m := result.Memory
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t%s\n", result.Server, result.Runs, m.Idle.text("%.0f"), m.Loaded.text("%.0f"), m.Peak.text("%.0f"), m.PeakWatched.text("%.0f"), (result.Ready / 1000).text("%.1f"))
	}
	r.printRatios(w)
	if len(r.Limits) > 0 {
		fmt.Fprintln(w, "\nlimit\tmeasured\twanted\t")
		for _, v := range r.Limits {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", v.What, v.Measured.text("%.2f"), v.Limit, map[bool]string{true: "ok", false: "MISSED"}[v.OK])
		}
	}
	return w.Flush()
}

// printRatios compares servers with the first one: above 1 is more.
func (r *report) printRatios(w io.Writer) {
	if len(r.Results) == 0 {
		return
	}
	first := r.Results[0]
	header := false
	for _, other := range r.Results[1:] {
		if other.Server == first.Server {
			continue
		}
		if !header {
			fmt.Fprintf(w, "\nserver : %s\trequest\treq/s\tp50\tp99\tbytes\tCPU\tallocations\talloc bytes\tmemory\n", first.Server)
			header = true
		}
		for i := range min(len(first.Requests), len(other.Requests)) {
			a, b := first.Requests[i], other.Requests[i]
			fmt.Fprintf(w, "%s\t%s", other.Server, b.Name)
			for _, ratio := range []number{
				b.PerSecond / a.PerSecond, b.P50 / a.P50, b.P99 / a.P99, b.Bytes / a.Bytes, b.CPU / a.CPU, b.Allocations / a.Allocations,
				b.Allocated / a.Allocated, other.Memory.Loaded / first.Memory.Loaded,
			} {
				fmt.Fprintf(w, "\t%s", ratio.text("%.2f"))
			}
			fmt.Fprintln(w)
		}
	}
}
