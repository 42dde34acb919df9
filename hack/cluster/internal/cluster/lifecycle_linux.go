// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/hack/cluster/internal/layout"
	"github.com/slipway-dev/slipway/hack/cluster/internal/proc"
	"github.com/slipway-dev/slipway/hack/cluster/internal/require"
)

// packages maps programs that a cluster needs to the Debian packages that they
// are in.
var packages = []struct{ program, pkg string }{
	{"runc", "runc"},
	{"nft", "nftables"},
	{"mount", "mount"},
}

// CheckUser tells at once whether it is of any use to go on: a cluster needs
// Linux and root.
func CheckUser() error {
	if os.Geteuid() != 0 {
		return require.Missing(nil, "it needs root, for control groups and network namespaces")
	}
	return nil
}

// checkHost tells what the machine lacks for running a cluster, having
// installed missing Debian packages if it may.
func checkHost(ctx context.Context, l layout.Layout, install bool, out io.Writer) error {
	if err := CheckUser(); err != nil {
		return err
	}
	known, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return require.Missing(err, "the proc file system is not mounted")
	}
	if !slices.Contains(strings.Fields(string(known)), "overlay") {
		// It may be a module that nothing has asked for yet.
		if err := exec.CommandContext(ctx, "modprobe", "overlay").Run(); err != nil {
			return require.Missing(err, "the kernel has no overlayfs")
		}
	}
	if _, err := os.Stat("/proc/self/ns/net"); err != nil {
		return require.Missing(err, "the kernel has no network namespaces")
	}
	if _, err := controlGroups(); err != nil {
		return err
	}
	var programs []string
	for _, p := range packages {
		programs = append(programs, p.program)
	}
	if err := EnsurePrograms(ctx, install, out, programs...); err != nil {
		return err
	}
	if msg, err := exec.CommandContext(ctx, "nft", "list", "tables").CombinedOutput(); err != nil {
		return require.Missing(err, "the kernel's packet filter (nf_tables) is not usable: %s", firstLine(msg))
	}
	return checkOverlay(l)
}

// debianPackage is the package that a program is in.
func debianPackage(program string) string {
	for _, p := range packages {
		if p.program == program {
			return p.pkg
		}
	}
	return program
}

// EnsurePrograms makes sure that programs are on the PATH. Missing ones are
// installed as Debian packages if that is allowed and possible.
func EnsurePrograms(ctx context.Context, install bool, out io.Writer, programs ...string) error {
	var missing, pkgs []string
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			missing = append(missing, p)
			pkgs = append(pkgs, debianPackage(p))
		}
	}
	if len(missing) == 0 {
		return nil
	}
	hint := "apt-get install " + strings.Join(pkgs, " ")
	if !install {
		return require.Missing(nil, "programs are missing, and installing them was refused (%s)", hint)
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return require.Missing(nil, "programs are missing: %s", strings.Join(missing, ", "))
	}
	fmt.Fprintf(out, "Installing Debian packages that are missing: %s\n", strings.Join(pkgs, " "))
	apt := func(args ...string) error {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if msg, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w: %s", args[0], err, lastLine(msg))
		}
		return nil
	}
	args := append([]string{"install", "-y", "-q", "--no-install-recommends"}, pkgs...)
	if err := apt(args...); err == nil {
		return nil
	}
	// The machine may not know its packages yet.
	if err := apt("update", "-q"); err != nil {
		return require.Missing(err, "programs are missing (%s)", hint)
	}
	if err := apt(args...); err != nil {
		return require.Missing(err, "programs are missing (%s)", hint)
	}
	return nil
}

func lastLine(b []byte) string {
	b = bytes.TrimSpace(b)
	return string(b[bytes.LastIndexByte(b, '\n')+1:])
}

// checkOverlay tries overlayfs where containerd will use it.
func checkOverlay(l layout.Layout) error {
	if err := os.MkdirAll(l.State, 0o755); err != nil {
		return fmt.Errorf("making the state directory: %w", err)
	}
	dir, err := os.MkdirTemp(l.State, "overlay-check-")
	if err != nil {
		return fmt.Errorf("trying overlayfs: %w", err)
	}
	defer os.RemoveAll(dir)
	for _, sub := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			return fmt.Errorf("trying overlayfs: %w", err)
		}
	}
	merged := filepath.Join(dir, "merged")
	opts := fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", dir)
	if err := unix.Mount("overlay", merged, "overlay", 0, opts); err != nil {
		return require.Missing(err, "overlayfs does not work on the file system of %s; choose another place with --state-dir", l.State)
	}
	if err := unix.Unmount(merged, 0); err != nil {
		return fmt.Errorf("trying overlayfs: %w", err)
	}
	return nil
}

// lockState takes the lock of a state directory, which is made if need be: one
// Up or Down at a time.
func lockState(l layout.Layout) (unlock func(), err error) {
	for {
		if err := os.MkdirAll(l.State, 0o755); err != nil {
			return nil, fmt.Errorf("making the state directory: %w", err)
		}
		unlock, err := lockDir(l.State)
		if !errors.Is(err, fs.ErrNotExist) {
			return unlock, err
		}
	}
}

// Up starts the cluster, or repairs it, or finds that it runs already.
func Up(ctx context.Context, l layout.Layout, opts UpOptions) (*Status, error) {
	if err := l.CheckLength(); err != nil {
		return nil, err
	}
	// The usual case first, without any lock.
	if st, err := askSupervisor(ctx, l); err == nil && st.Phase == PhaseReady && networkIntact(l) {
		fmt.Fprintln(opts.Out, "The cluster is already running and healthy.")
		return st, nil
	}
	began := time.Now()
	if err := CheckUser(); err != nil {
		return nil, err
	}
	unlock, err := lockState(l)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := checkHost(ctx, l, opts.Install, opts.Out); err != nil {
		return nil, err
	}
	rec, err := refreshRecord(l, opts)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(opts.Out, "Network: %s\n", rec.Plan)
	if err := setupNetwork(ctx, l, rec.Plan); err != nil {
		return nil, err
	}
	if err := makeControlGroups(l.ID); err != nil {
		return nil, err
	}
	if _, err := (proc.Table{}).ReadFile(l.PIDFile()); errors.Is(err, proc.ErrNotRunning) {
		if err := clearOrphans(ctx, l); err != nil {
			return nil, err
		}
		if err := startSupervisor(ctx, l); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	if !opts.Wait {
		st, err := GetStatus(ctx, l)
		return st, err
	}
	st, err := waitReady(ctx, l, opts.Timeout, opts.Out)
	if err == nil {
		fmt.Fprintf(opts.Out, "The cluster is ready after %.1f s. KUBECONFIG=%s\n", time.Since(began).Seconds(), l.Kubeconfig())
	}
	return st, err
}

// networkIntact tells cheaply whether the node's network is still there.
func networkIntact(l layout.Layout) bool {
	_, err := os.Stat(filepath.Join("/sys/class/net", l.Veth()))
	return err == nil && isNetNS(l.NetNS())
}

// refreshRecord returns the record of the cluster to start, a new one if there
// is none.
func refreshRecord(l layout.Layout, opts UpOptions) (*record, error) {
	rec, err := readRecord(l)
	if err != nil {
		return nil, err
	}
	boot, err := (proc.Table{}).Boot()
	if err != nil {
		return nil, err
	}
	if rec == nil {
		plan, err := choosePlan(l)
		if err != nil {
			return nil, err
		}
		rec = &record{ID: l.ID, Plan: plan, Boot: boot}
	}
	taken, err := takenPrefixes(l.Veth())
	if err != nil {
		return nil, err
	}
	if !rec.Plan.Free(taken) {
		return nil, fmt.Errorf("the cluster's addresses (%s) collide with a route that this host has got meanwhile: remove the cluster with devcluster down and start a new one", rec.Plan)
	}
	if rec.Boot != boot {
		if err := trackShims(l); err != nil {
			return nil, err
		}
		// Nothing that these files tell about is left after a reboot.
		if err := os.RemoveAll(l.In("run")); err != nil {
			return nil, fmt.Errorf("clearing what the last boot left: %w", err)
		}
		rec.Boot = boot
	}
	rec.Options = opts.Node
	return rec, rec.write(l)
}

// clearOrphans ends components that outlived their supervisor. Pods and their
// shims are left alone, but for the sockets of shims that are gone.
func clearOrphans(ctx context.Context, l layout.Layout) error {
	if err := trackShims(l); err != nil {
		return err
	}
	if err := removeDeadSockets(ctx, l); err != nil {
		return err
	}
	table := proc.Table{}
	pids, err := table.PIDs()
	if err != nil {
		return err
	}
	ours := map[string]bool{}
	for _, name := range []string{"kube", "containerd"} {
		ours[filepath.Join(l.Bin(), name)] = true
	}
	inode := netNSInode(l.NetNS())
	for _, pid := range pids {
		id, err := table.Identify(pid)
		if err != nil || netNSOf(pid) != inode {
			continue
		}
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		if err != nil || !ours[strings.TrimSuffix(exe, " (deleted)")] {
			continue
		}
		if err := killProcess(ctx, id, 0); err != nil {
			return err
		}
	}
	return nil
}

// netNSOf identifies the network namespace of a process, 0 if it is gone.
func netNSOf(pid int) uint64 {
	var st unix.Stat_t
	if unix.Stat(fmt.Sprintf("/proc/%d/ns/net", pid), &st) != nil {
		return 0
	}
	return st.Ino
}

func startSupervisor(ctx context.Context, l layout.Layout) error {
	// The built program stays where it is; the one that runs now may be a
	// temporary file of "go run".
	exe := filepath.Join(l.Bin(), "devcluster")
	if _, err := os.Stat(exe); err != nil {
		if exe, err = os.Executable(); err != nil {
			return fmt.Errorf("finding this program: %w", err)
		}
	}
	if err := os.MkdirAll(l.Logs(), 0o755); err != nil {
		return fmt.Errorf("making log directory: %w", err)
	}
	name := filepath.Join(l.Logs(), "supervisor.log")
	if info, err := os.Stat(name); err == nil && info.Size() > maxLog {
		if err := os.Rename(name, name+".1"); err != nil {
			return fmt.Errorf("putting the old log aside: %w", err)
		}
	}
	out, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("opening log: %w", err)
	}
	defer out.Close()
	// It outlives this command.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), exe, "supervise", "--repo="+l.Repo, "--state-dir="+l.State)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = out, out
	if err := startInNetNS(l.NetNS(), cmd); err != nil {
		return fmt.Errorf("starting the supervisor: %w", err)
	}
	// From now on it is found by the pid file, which must exist before another
	// command looks for it.
	if err := (proc.Table{}).WriteFile(l.PIDFile(), cmd.Process.Pid); err != nil {
		return fmt.Errorf("the supervisor ended at once; see %s: %w", name, err)
	}
	return cmd.Process.Release()
}

// waitReady waits until pods can run.
func waitReady(ctx context.Context, l layout.Layout, timeout time.Duration, out io.Writer) (*Status, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	said := ""
	lastSaid := time.Now()
	for {
		st, err := askSupervisor(ctx, l)
		switch {
		case err == nil && st.Phase == PhaseReady:
			return st, nil
		case err == nil && st.Message != said && time.Since(lastSaid) > 2*time.Second:
			said, lastSaid = st.Message, time.Now()
			fmt.Fprintf(out, "Waiting: %s\n", said)
		case err != nil:
			if _, gone := (proc.Table{}).ReadFile(l.PIDFile()); errors.Is(gone, proc.ErrNotRunning) {
				return nil, fmt.Errorf("the supervisor ended; the end of %s says: %s", filepath.Join(l.Logs(), "supervisor.log"), tail(filepath.Join(l.Logs(), "supervisor.log")))
			}
		}
		if !pause(ctx, pollReady) {
			if said == "" && st != nil {
				said = st.Message
			}
			return nil, fmt.Errorf("the cluster is not ready after %v: %s (see devcluster logs)", timeout, said)
		}
	}
}

// tail returns the last line of a file, for messages.
func tail(name string) string {
	b, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	return lastLine(b)
}

// GetStatus tells how the cluster is.
func GetStatus(ctx context.Context, l layout.Layout) (*Status, error) {
	if st, err := askSupervisor(ctx, l); err == nil {
		return st, nil
	}
	st := baseStatus(l)
	rec, err := readRecord(l)
	if err != nil {
		return nil, err
	}
	if rec == nil {
		st.Message = "there is no cluster in the state directory"
		return st, nil
	}
	rec.fill(st)
	if id, err := (proc.Table{}).ReadFile(l.PIDFile()); err == nil {
		st.Phase, st.Supervisor, st.Message = PhaseStarting, id.PID, "the supervisor does not answer yet"
	} else {
		st.Phase, st.Message = PhaseStopped, "the supervisor is not running; devcluster up starts it again"
	}
	return st, nil
}

// DownOptions are the choices of Down.
type DownOptions struct {
	// KeepData keeps the database, the volumes, the registry and the keys, so
	// that the next Up continues with them.
	KeepData bool
	// Out gets one line per step.
	Out io.Writer
}

// kept is what remains of the state directory with KeepData.
var kept = []string{"etcd", "volumes", "registry", "pki", "cluster.json", "logs"}

// Down stops the cluster and removes everything that belongs to it. It works
// whatever is left of the cluster, and finds nothing to do the second time.
func Down(ctx context.Context, l layout.Layout, opts DownOptions) error {
	if err := CheckUser(); err != nil {
		return err
	}
	unlock, err := lockState(l)
	if err != nil {
		return err
	}
	defer unlock()
	if id, err := (proc.Table{}).ReadFile(l.PIDFile()); err == nil {
		fmt.Fprintln(opts.Out, "Stopping the supervisor")
		if err := killProcess(ctx, id, 3*stopTimeout); err != nil {
			return err
		}
	}
	if err := trackShims(l); err != nil {
		return err
	}
	if err := killAll(ctx, l); err != nil {
		return err
	}
	if err := unmountAll(ctx, l.State); err != nil {
		return err
	}
	err = errors.Join(removeNetwork(ctx, l), removeControlGroups(ctx, l.ID), removeDeadSockets(ctx, l), removeStrays(l))
	if err != nil {
		return err
	}
	if err := removeState(l, opts.KeepData); err != nil {
		return err
	}
	fmt.Fprintln(opts.Out, "The cluster is gone.")
	return nil
}

// killAll ends every process of the cluster: those in the node's network
// namespace and those in its control groups.
func killAll(ctx context.Context, l layout.Layout) error {
	table := proc.Table{}
	deadline := time.Now().Add(stopTimeout)
	for {
		inode := netNSInode(l.NetNS())
		pids, err := table.PIDs()
		if err != nil {
			return err
		}
		groups, err := controlGroupPIDs(l.ID)
		if err != nil {
			return err
		}
		left := 0
		for _, pid := range pids {
			if pid == os.Getpid() || (!groups[pid] && (inode == 0 || netNSOf(pid) != inode)) {
				continue
			}
			if _, err := table.Identify(pid); err != nil {
				continue
			}
			left++
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("killing process %d: %w", pid, err)
			}
		}
		if left == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d processes of the cluster do not end", left)
		}
		if !pause(ctx, pollReady) {
			return ctx.Err()
		}
	}
}

// mountsUnder lists the mount points below a directory, deepest first.
func mountsUnder(dir string) ([]string, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("listing mounts: %w", err)
	}
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var out []string
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		if point := unescape.Replace(fields[4]); strings.HasPrefix(point, dir+"/") {
			out = append(out, point)
		}
	}
	// A later line may be mounted on top of an earlier one.
	slices.Reverse(out)
	return out, nil
}

func unmountAll(ctx context.Context, dir string) error {
	if resolved, err := filepath.EvalSymlinks(dir); err == nil {
		dir = resolved
	}
	deadline := time.Now().Add(stopTimeout)
	for {
		points, err := mountsUnder(dir)
		if err != nil || len(points) == 0 {
			return err
		}
		var last error
		for _, p := range points {
			if err := unix.Unmount(p, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
				last = fmt.Errorf("unmounting %s: %w", p, err)
			}
		}
		if last != nil && time.Now().After(deadline) {
			return last
		}
		if !pause(ctx, time.Millisecond) {
			return ctx.Err()
		}
	}
}

// removeStrays removes what programs of the node put outside the state
// directory.
func removeStrays(l layout.Layout) error {
	var errs []error
	remove := func(file string) {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("removing what a pod left: %w", err))
		}
	}
	// The kubelet's links to log files.
	if links, err := os.ReadDir("/var/log/containers"); err == nil {
		for _, e := range links {
			name := filepath.Join("/var/log/containers", e.Name())
			if target, err := os.Readlink(name); err == nil && strings.HasPrefix(target, l.State+"/") {
				remove(name)
			}
		}
	}
	// The results that network plugins cache, which bear the network's name.
	if results, err := filepath.Glob("/var/lib/cni/results/" + l.ID + "-*"); err == nil {
		for _, name := range results {
			remove(name)
		}
	}
	return errors.Join(errs...)
}

// removeState removes the state directory's content, and the directory unless
// something is to be kept. Nothing may be mounted in it any more.
func removeState(l layout.Layout, keepData bool) error {
	entries, err := os.ReadDir(l.State)
	if err != nil {
		return fmt.Errorf("removing the state directory: %w", err)
	}
	known := map[string]bool{}
	for _, name := range stateEntries {
		known[name] = true
	}
	for _, e := range entries {
		if keepData && slices.Contains(kept, e.Name()) {
			continue
		}
		if !known[e.Name()] && !strings.HasPrefix(e.Name(), "overlay-check-") {
			continue // not ours: the directory may be in use for other things
		}
		if err := os.RemoveAll(l.In(e.Name())); err != nil {
			return fmt.Errorf("removing the cluster's state: %w", err)
		}
	}
	if err := os.Remove(l.State); err != nil && !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the state directory: %w", err)
	}
	return nil
}

// stateEntries is what a state directory may hold of a cluster.
var stateEntries = []string{
	"cluster.json", "cluster.json.tmp", "cni", "config", "containerd", "etcd", "kubeconfig", "kubeconfig.tmp", "kubelet",
	"logs", "opt", "pki", "plugins", "pod-logs", "registry", "run", shimNotes, shimNotes + ".tmp", "supervisor.pid", "supervisor.pid.tmp", "volumes",
}
