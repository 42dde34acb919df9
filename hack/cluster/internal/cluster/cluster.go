// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cluster starts, watches, repairs and removes a development cluster
// on this machine.
//
// All programs of the node run in one network namespace of their own, which a
// virtual cable joins to the host, so that they share no port, route or
// firewall rule with anything else on the machine. A detached process, the
// supervisor, keeps them running.
package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/slipway-dev/slipway/hack/cluster/internal/layout"
	"github.com/slipway-dev/slipway/hack/cluster/internal/netplan"
	"github.com/slipway-dev/slipway/hack/cluster/internal/nodeconfig"
)

// ErrNotRunning means that no supervisor runs for the cluster.
var ErrNotRunning = errors.New("the cluster is not running: start it with devcluster up")

// Version is the version of Kubernetes that the cluster runs.
const Version = "v1.36.3"

// UpOptions are the choices of Up.
type UpOptions struct {
	// Wait makes Up return only when pods can be scheduled.
	Wait bool
	// Timeout bounds that wait.
	Timeout time.Duration
	// Install allows the installation of missing Debian packages.
	Install bool
	// Node holds the choices that the running cluster keeps.
	Node nodeconfig.Options
	// Out gets one line per step.
	Out io.Writer
}

// Phase says how a cluster is.
type Phase string

// The phases, from nothing to everything.
const (
	PhaseAbsent   Phase = "Absent"   // nothing is there
	PhaseStopped  Phase = "Stopped"  // there is state, but no supervisor
	PhaseStarting Phase = "Starting" // not yet ready
	PhaseReady    Phase = "Ready"    // pods can run
)

// Status is what "status -o json" prints.
type Status struct {
	Phase      Phase  `json:"phase"`
	ID         string `json:"id"`
	StateDir   string `json:"stateDir"`
	Kubeconfig string `json:"kubeconfig"`
	Version    string `json:"kubernetesVersion"`
	// Message says in a sentence what a cluster that is not ready waits for.
	Message string `json:"message,omitempty"`
	// Node is the name of the only node.
	Node string `json:"node"`
	// HostIP is where pods reach what listens on the host; NodeIP is where the
	// host reaches NodePorts. Both are empty without a cluster.
	HostIP      string `json:"hostIP,omitempty"`
	NodeIP      string `json:"nodeIP,omitempty"`
	PodCIDR     string `json:"podCIDR,omitempty"`
	ServiceCIDR string `json:"serviceCIDR,omitempty"`
	APIServer   string `json:"apiServer,omitempty"`
	// Registry is the address for pushing from the host and from pods; images
	// are named after RegistryName.
	Registry     string `json:"registry,omitempty"`
	RegistryName string `json:"registryName"`
	StorageClass string `json:"storageClass"`
	NetNS        string `json:"networkNamespace,omitempty"`
	// Supervisor is the process ID of the supervisor, 0 if it is not running.
	Supervisor int               `json:"supervisorPID,omitempty"`
	Components []ComponentStatus `json:"components"`
}

// ComponentStatus is the state of one program.
type ComponentStatus struct {
	Name     string `json:"name"`
	Ready    bool   `json:"ready"`
	PID      int    `json:"pid,omitempty"`
	Restarts int    `json:"restarts"`
	// Started is when its present process was started.
	Started *time.Time `json:"started,omitempty"`
	// LastError says how its last process ended, or what it waits for.
	LastError string `json:"lastError,omitempty"`
}

// record is what a cluster remembers of itself in cluster.json.
type record struct {
	ID      string             `json:"id"`
	Plan    netplan.Plan       `json:"network"`
	Options nodeconfig.Options `json:"options"`
	// Boot is the boot of the machine in which the cluster was last started.
	Boot string `json:"boot"`
}

func recordFile(l layout.Layout) string { return l.In("cluster.json") }

// readRecord returns nil and no error where there is no record.
func readRecord(l layout.Layout) (*record, error) {
	b, err := os.ReadFile(recordFile(l))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the cluster's record: %w", err)
	}
	var rec record
	if err := json.Unmarshal(b, &rec); err != nil || !rec.Plan.HostIP.IsValid() {
		return nil, fmt.Errorf("%s is damaged: remove the cluster with devcluster down", recordFile(l))
	}
	return &rec, nil
}

func (rec *record) write(l layout.Layout) error {
	b, err := json.MarshalIndent(rec, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the cluster's record: %w", err)
	}
	tmp := recordFile(l) + ".tmp"
	if err := os.WriteFile(tmp, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing the cluster's record: %w", err)
	}
	return os.Rename(tmp, recordFile(l))
}

// fill adds to a status what the record knows.
func (rec *record) fill(s *Status) {
	s.HostIP = rec.Plan.HostIP.String()
	s.NodeIP = rec.Plan.NodeIP.String()
	s.PodCIDR = rec.Plan.PodCIDR.String()
	s.ServiceCIDR = rec.Plan.ServiceCIDR.String()
	s.APIServer = nodeconfig.APIServerURL(rec.Plan)
	s.Registry = nodeconfig.RegistryAddr(rec.Plan)
	s.NetNS = rec.ID
}

func baseStatus(l layout.Layout) *Status {
	return &Status{
		Phase: PhaseAbsent, ID: l.ID, StateDir: l.State, Kubeconfig: l.Kubeconfig(), Version: Version,
		Node: nodeconfig.NodeName, RegistryName: nodeconfig.RegistryName, StorageClass: nodeconfig.StorageClass,
		Components: []ComponentStatus{},
	}
}
