// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package netplan chooses the private addresses of a development cluster so
// that they collide with nothing that the host can reach.
package netplan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"net/netip"
)

// blockBits is the prefix length of a cluster's block of addresses: one /24
// of which the link between host and node uses four addresses, a /23 of pods
// and a /22 of services.
const blockBits = 21

// Prefixes that blocks are taken from, in order of preference. The first is
// large and rarely used; the others are for hosts that route all of it.
var pools = []netip.Prefix{
	netip.MustParsePrefix("10.192.0.0/11"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"),
}

// ErrNoRoom means that every private prefix is already in use on the host.
var ErrNoRoom = errors.New("no private address block is free: every candidate collides with a route or an address of this host")

// Plan is the addressing of one cluster.
type Plan struct {
	// HostIP is the host's end of the cable to the node: the address at which
	// pods reach what listens on the host.
	HostIP netip.Addr `json:"hostIP"`
	// NodeIP is the node's address: API server, NodePorts and registry.
	NodeIP netip.Addr `json:"nodeIP"`
	// Link is the prefix that holds HostIP and NodeIP.
	Link netip.Prefix `json:"link"`
	// PodCIDR is the prefix that pods get their addresses from.
	PodCIDR netip.Prefix `json:"podCIDR"`
	// ServiceCIDR is the prefix that Services get their addresses from.
	ServiceCIDR netip.Prefix `json:"serviceCIDR"`
}

// Block is the smallest prefix that holds all of a plan's addresses.
func (p Plan) Block() netip.Prefix { return netip.PrefixFrom(p.HostIP, blockBits).Masked() }

// APIServiceIP is the address of the Service default/kubernetes, the first of
// the service prefix.
func (p Plan) APIServiceIP() netip.Addr { return p.ServiceCIDR.Masked().Addr().Next() }

// Free tells whether a plan collides with none of the prefixes taken.
func (p Plan) Free(taken []netip.Prefix) bool { return free(p.Block(), taken) }

// Choose returns the plan of the cluster called seed. The same seed gets the
// same plan unless a prefix in taken is in its way. Default routes in taken are
// ignored: they cover everything and collide with nothing.
func Choose(seed string, taken []netip.Prefix) (Plan, error) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(seed)) // a hash's Write cannot fail
	for _, pool := range pools {
		count := uint32(1) << (blockBits - pool.Bits())
		first := h.Sum32() % count
		for i := range count {
			block := nth(pool, (first+i)%count)
			if free(block, taken) {
				return planOf(block), nil
			}
		}
	}
	return Plan{}, ErrNoRoom
}

func free(block netip.Prefix, taken []netip.Prefix) bool {
	for _, t := range taken {
		if t.Bits() > 0 && t.Overlaps(block) {
			return false
		}
	}
	return true
}

func nth(pool netip.Prefix, n uint32) netip.Prefix {
	return netip.PrefixFrom(offset(pool.Masked().Addr(), n<<(32-blockBits)), blockBits)
}

func offset(a netip.Addr, n uint32) netip.Addr {
	b := a.As4()
	binary.BigEndian.PutUint32(b[:], binary.BigEndian.Uint32(b[:])+n)
	return netip.AddrFrom4(b)
}

func planOf(block netip.Prefix) Plan {
	base := block.Masked().Addr()
	return Plan{
		HostIP:      offset(base, 1),
		NodeIP:      offset(base, 2),
		Link:        netip.PrefixFrom(base, 30),
		PodCIDR:     netip.PrefixFrom(offset(base, 2<<8), 23),
		ServiceCIDR: netip.PrefixFrom(offset(base, 4<<8), 22),
	}
}

// String is a plan in one line, for messages.
func (p Plan) String() string {
	return fmt.Sprintf("host %s, node %s, pods %s, services %s", p.HostIP, p.NodeIP, p.PodCIDR, p.ServiceCIDR)
}
