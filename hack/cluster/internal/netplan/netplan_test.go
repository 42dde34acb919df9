// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package netplan

import (
	"errors"
	"net/netip"
	"testing"
)

func prefixes(ss ...string) (out []netip.Prefix) {
	for _, s := range ss {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestChooseIsStable(t *testing.T) {
	a, err := Choose("slipway-1234abcd", nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Choose("slipway-1234abcd", prefixes("0.0.0.0/0", "192.0.2.0/24"))
	if err != nil {
		t.Fatal(err)
	}
	if a != b {
		t.Errorf("a default route and an unrelated one changed the plan from %v to %v", a, b)
	}
	c, err := Choose("slipway-00000000", nil)
	if err != nil {
		t.Fatal(err)
	}
	if a.Block() == c.Block() {
		t.Errorf("two clusters got the same block %v", a.Block())
	}
}

func TestPlanPartsAreDisjointAndInTheBlock(t *testing.T) {
	p, err := Choose("x", nil)
	if err != nil {
		t.Fatal(err)
	}
	parts := []netip.Prefix{p.Link, p.PodCIDR, p.ServiceCIDR}
	for i, a := range parts {
		if !p.Block().Contains(a.Addr()) || a.Bits() < p.Block().Bits() {
			t.Errorf("%v is not in the block %v", a, p.Block())
		}
		if a != a.Masked() {
			t.Errorf("%v has bits set behind its mask", a)
		}
		for _, b := range parts[i+1:] {
			if a.Overlaps(b) {
				t.Errorf("%v overlaps %v", a, b)
			}
		}
	}
	if !p.Link.Contains(p.HostIP) || !p.Link.Contains(p.NodeIP) || p.HostIP == p.NodeIP {
		t.Errorf("host %v and node %v are not two addresses of %v", p.HostIP, p.NodeIP, p.Link)
	}
	if got, want := p.APIServiceIP(), p.ServiceCIDR.Addr().Next(); got != want {
		t.Errorf("API service is %v, want %v", got, want)
	}
}

func TestChooseAvoidsWhatIsTaken(t *testing.T) {
	first, err := Choose("x", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		taken []netip.Prefix
	}{
		{"the very block", []netip.Prefix{first.Block()}},
		{"one address of it", []netip.Prefix{netip.PrefixFrom(first.NodeIP, 32)}},
		{"its first pool", prefixes("10.0.0.0/8")},
		{"its first two pools", prefixes("10.0.0.0/8", "172.16.0.0/12")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Choose("x", tc.taken)
			if err != nil {
				t.Fatal(err)
			}
			if !got.Free(tc.taken) {
				t.Errorf("%v collides with %v", got, tc.taken)
			}
		})
	}
}

func TestChooseSaysWhenThereIsNoRoom(t *testing.T) {
	_, err := Choose("x", prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
	if !errors.Is(err, ErrNoRoom) {
		t.Errorf("got %v, want ErrNoRoom", err)
	}
}
