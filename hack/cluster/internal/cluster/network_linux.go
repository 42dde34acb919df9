// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/slipway-dev/slipway/hack/cluster/internal/layout"
	"github.com/slipway-dev/slipway/hack/cluster/internal/netplan"
	"github.com/slipway-dev/slipway/hack/cluster/internal/require"
)

const (
	// nodeLink is the node's end of the cable, inside its namespace.
	nodeLink = "eth0"
	// forwarders holds one file per cluster that needs the host to forward
	// packets, and the setting that was there before the first of them.
	forwarders   = "/run/slipway-devcluster"
	forwardState = "/proc/sys/net/ipv4/ip_forward"
)

// choosePlan returns the addresses of a new cluster.
func choosePlan(l layout.Layout) (netplan.Plan, error) {
	taken, err := takenPrefixes(l.Veth())
	if err != nil {
		return netplan.Plan{}, err
	}
	return netplan.Choose(l.ID, taken)
}

// takenPrefixes lists what the host has addresses in, has routes to or asks for
// names, other than by the link called own.
func takenPrefixes(own string) ([]netip.Prefix, error) {
	ownIndex := -1
	if link, err := netlink.LinkByName(own); err == nil {
		ownIndex = link.Attrs().Index
	}
	var taken []netip.Prefix
	add := func(n *net.IPNet) {
		if n == nil || n.IP.To4() == nil {
			return
		}
		addr, _ := netip.AddrFromSlice(n.IP.To4())
		bits, _ := n.Mask.Size()
		taken = append(taken, netip.PrefixFrom(addr, bits).Masked())
	}
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("listing routes: %w", err)
	}
	for _, route := range routes {
		if route.LinkIndex != ownIndex {
			add(route.Dst)
		}
	}
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("listing addresses: %w", err)
	}
	for _, addr := range addrs {
		if addr.LinkIndex != ownIndex {
			add(addr.IPNet)
		}
	}
	resolv, err := os.ReadFile("/etc/resolv.conf")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading name servers: %w", err)
	}
	for line := range strings.Lines(string(resolv)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "nameserver" {
			if addr, err := netip.ParseAddr(fields[1]); err == nil && addr.Is4() {
				taken = append(taken, netip.PrefixFrom(addr, 32))
			}
		}
	}
	return taken, nil
}

// setupNetwork makes the namespace, the cable, the routes and the firewall
// table of a cluster, and repairs what is there.
func setupNetwork(ctx context.Context, l layout.Layout, plan netplan.Plan) error {
	if err := ensureNetNS(l.NetNS()); err != nil {
		return err
	}
	ns, err := netns.GetFromPath(l.NetNS())
	if err != nil {
		return fmt.Errorf("opening network namespace: %w", err)
	}
	defer ns.Close()
	inside, err := netlink.NewHandleAt(ns)
	if err != nil {
		return fmt.Errorf("entering network namespace: %w", err)
	}
	defer inside.Close()
	if err := ensureCable(l.Veth(), ns, inside); err != nil {
		return err
	}
	if err := hostSide(l.Veth(), plan); err != nil {
		return err
	}
	if err := nodeSide(inside, plan); err != nil {
		return err
	}
	if err := inNetNS(l.NetNS(), func() error {
		return os.WriteFile(forwardState, []byte("1\n"), 0)
	}); err != nil {
		return fmt.Errorf("letting the node forward packets: %w", err)
	}
	if err := ensureForwarding(l.ID); err != nil {
		return err
	}
	return masquerade(ctx, l, plan)
}

// ensureNetNS makes a named network namespace unless it exists.
func ensureNetNS(file string) error {
	if isNetNS(file) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("making network namespace: %w", err)
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDONLY, 0o444)
	if err != nil {
		return fmt.Errorf("making network namespace: %w", err)
	}
	f.Close()
	err = onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return require.Missing(err, "the kernel cannot make network namespaces")
		}
		self := fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid())
		if err := unix.Mount(self, file, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("naming network namespace: %w", err)
		}
		return nil
	})
	if err != nil {
		return errors.Join(err, os.Remove(file))
	}
	return nil
}

// isNetNS tells whether a file is a namespace rather than what a reboot left.
func isNetNS(file string) bool {
	var st unix.Statfs_t
	return unix.Statfs(file, &st) == nil && st.Type == unix.NSFS_MAGIC
}

// netNSInode identifies a namespace, 0 if it does not exist.
func netNSInode(file string) uint64 {
	var st unix.Stat_t
	if !isNetNS(file) || unix.Stat(file, &st) != nil {
		return 0
	}
	return st.Ino
}

// onOwnThread calls f on a thread that ends with it, so that f may change what
// belongs to a thread. Processes that f starts must not be tied to its life.
func onOwnThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends here
		done <- f()
	}()
	return <-done
}

// inNetNS calls f in a named network namespace.
func inNetNS(file string, f func() error) error {
	return onOwnThread(func() error {
		ns, err := netns.GetFromPath(file)
		if err != nil {
			return fmt.Errorf("opening network namespace: %w", err)
		}
		defer ns.Close()
		if err := netns.Set(ns); err != nil {
			return fmt.Errorf("entering network namespace: %w", err)
		}
		return f()
	})
}

func ensureCable(name string, ns netns.NsHandle, inside *netlink.Handle) error {
	host, err := netlink.LinkByName(name)
	if err == nil {
		peer, peerErr := inside.LinkByName(nodeLink)
		if peerErr == nil && peer.Attrs().ParentIndex == host.Attrs().Index {
			return nil
		}
		// Its other end is in a namespace that is no longer ours.
		if err := netlink.LinkDel(host); err != nil {
			return fmt.Errorf("removing old cable: %w", err)
		}
	}
	if peer, err := inside.LinkByName(nodeLink); err == nil {
		if err := inside.LinkDel(peer); err != nil {
			return fmt.Errorf("removing old cable: %w", err)
		}
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	err = netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: nodeLink, PeerNamespace: netlink.NsFd(ns)})
	if errors.Is(err, unix.EOPNOTSUPP) {
		return require.Missing(err, "the kernel cannot make virtual Ethernet cables (veth)")
	}
	if err != nil {
		return fmt.Errorf("making cable to the node: %w", err)
	}
	return nil
}

func hostSide(name string, plan netplan.Plan) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("finding cable to the node: %w", err)
	}
	if err := netlink.AddrReplace(link, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(plan.HostIP, plan.Link.Bits()))}); err != nil {
		return fmt.Errorf("setting the host's address: %w", err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("starting the cable: %w", err)
	}
	for _, dst := range []netip.Prefix{plan.PodCIDR, plan.ServiceCIDR} {
		route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(dst), Gw: plan.NodeIP.AsSlice()}
		if err := netlink.RouteReplace(route); err != nil {
			return fmt.Errorf("routing %s to the node: %w", dst, err)
		}
	}
	return nil
}

func nodeSide(inside *netlink.Handle, plan netplan.Plan) error {
	lo, err := inside.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("finding the node's loopback: %w", err)
	}
	if err := inside.LinkSetUp(lo); err != nil {
		return fmt.Errorf("starting the node's loopback: %w", err)
	}
	link, err := inside.LinkByName(nodeLink)
	if err != nil {
		return fmt.Errorf("finding the node's end of the cable: %w", err)
	}
	if err := inside.AddrReplace(link, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(plan.NodeIP, plan.Link.Bits()))}); err != nil {
		return fmt.Errorf("setting the node's address: %w", err)
	}
	if err := inside.LinkSetUp(link); err != nil {
		return fmt.Errorf("starting the node's end of the cable: %w", err)
	}
	for _, route := range []*netlink.Route{
		{LinkIndex: link.Attrs().Index, Gw: plan.HostIP.AsSlice(), Dst: ipNet(netip.PrefixFrom(netip.IPv4Unspecified(), 0))},
		// Packets to a pod that is gone must not travel between node and host
		// until they die of old age.
		{Type: unix.RTN_UNREACHABLE, Dst: ipNet(plan.PodCIDR), Priority: 4096},
	} {
		if err := inside.RouteReplace(route); err != nil {
			return fmt.Errorf("setting the node's route to %s: %w", route.Dst, err)
		}
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// masquerade lets pods and node reach what the host can reach, under the
// host's address.
func masquerade(ctx context.Context, l layout.Layout, plan netplan.Plan) error {
	err := nft(ctx, fmt.Sprintf(`table ip %[1]s
delete table ip %[1]s
table ip %[1]s {
	comment "Slipway development cluster in %[4]s"
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr %[2]s oifname != "%[3]s" masquerade
	}
}
`, l.ID, plan.Block(), l.Veth(), strings.Map(plainRune, l.State)))
	if err != nil {
		return require.Missing(err, "the kernel's packet filter (nf_tables) does not take address translation rules")
	}
	return nil
}

// plainRune drops what could end a quoted string of nft.
func plainRune(r rune) rune {
	if r == '"' || r == '\\' || r < ' ' || r > '~' {
		return '_'
	}
	return r
}

func nft(ctx context.Context, script string) error {
	cmd := exec.CommandContext(ctx, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %s: %w", firstLine(out), err)
	}
	return nil
}

func firstLine(b []byte) string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(b), []byte("\n"))
	return string(line)
}

// ensureForwarding makes the host forward packets and remembers for which
// cluster, so that the last one to go restores the former setting.
func ensureForwarding(id string) error {
	return withForwarders(func() error {
		previous, err := os.ReadFile(forwardState)
		if err != nil {
			return fmt.Errorf("reading whether the host forwards packets: %w", err)
		}
		saved := filepath.Join(forwarders, "previous")
		if _, err := os.Stat(saved); errors.Is(err, fs.ErrNotExist) {
			if err := os.WriteFile(saved, previous, 0o644); err != nil {
				return fmt.Errorf("saving whether the host forwards packets: %w", err)
			}
		}
		if err := os.WriteFile(filepath.Join(forwarders, id), nil, 0o644); err != nil {
			return fmt.Errorf("saving for whom the host forwards packets: %w", err)
		}
		if strings.TrimSpace(string(previous)) == "1" {
			return nil
		}
		if err := os.WriteFile(forwardState, []byte("1\n"), 0); err != nil {
			return fmt.Errorf("letting the host forward packets: %w", err)
		}
		return nil
	})
}

// releaseForwarding undoes ensureForwarding.
func releaseForwarding(id string) error {
	if _, err := os.Stat(filepath.Join(forwarders, id)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return withForwarders(func() error {
		if err := os.Remove(filepath.Join(forwarders, id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forgetting for whom the host forwards packets: %w", err)
		}
		entries, err := os.ReadDir(forwarders)
		if err != nil {
			return fmt.Errorf("reading for whom the host forwards packets: %w", err)
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), "slipway-") {
				return nil // another cluster still needs it
			}
		}
		saved := filepath.Join(forwarders, "previous")
		previous, err := os.ReadFile(saved)
		if err == nil && strings.TrimSpace(string(previous)) == "0" {
			err = os.WriteFile(forwardState, previous, 0)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("restoring whether the host forwards packets: %w", err)
		}
		return os.RemoveAll(forwarders)
	})
}

// withForwarders calls f while no other cluster changes the directory.
func withForwarders(f func() error) error {
	for {
		if err := os.MkdirAll(forwarders, 0o755); err != nil {
			return fmt.Errorf("making %s: %w", forwarders, err)
		}
		unlock, err := lockDir(forwarders)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed by the last cluster, just now
		}
		if err != nil {
			return err
		}
		defer unlock()
		return f()
	}
}

// lockDir takes the exclusive lock of a directory and returns what gives it
// back. It fails with fs.ErrNotExist if the directory was removed meanwhile.
func lockDir(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	held, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	now, err := os.Stat(dir)
	if err != nil || !os.SameFile(held, now) {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", dir, fs.ErrNotExist)
	}
	return func() { f.Close() }, nil
}

// removeNetwork undoes setupNetwork, whatever part of it was done.
func removeNetwork(ctx context.Context, l layout.Layout) error {
	var errs []error
	if link, err := netlink.LinkByName(l.Veth()); err == nil {
		if err := netlink.LinkDel(link); err != nil {
			errs = append(errs, fmt.Errorf("removing the cable: %w", err))
		}
	}
	if isNetNS(l.NetNS()) {
		if err := unix.Unmount(l.NetNS(), unix.MNT_DETACH); err != nil {
			errs = append(errs, fmt.Errorf("releasing the network namespace: %w", err))
		}
	}
	if err := os.Remove(l.NetNS()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, fmt.Errorf("removing the network namespace: %w", err))
	}
	if _, err := exec.LookPath("nft"); err == nil {
		// "add, then delete" works whether or not the table is there.
		if err := nft(ctx, fmt.Sprintf("table ip %[1]s\ndelete table ip %[1]s\n", l.ID)); err != nil {
			errs = append(errs, fmt.Errorf("removing the firewall table: %w", err))
		}
	}
	errs = append(errs, releaseForwarding(l.ID))
	return errors.Join(errs...)
}

// startInNetNS starts a command in a network namespace, in a session of its
// own and without a terminal.
func startInNetNS(file string, cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return inNetNS(file, cmd.Start)
}
