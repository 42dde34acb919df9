// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package dns

import (
	"slices"
	"testing"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/cache"
)

func testServer(t *testing.T) *Server {
	t.Helper()
	ptr := func(b bool) *bool { return &b }
	host := "web-0"
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "team", Name: name} }
	services := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	for _, s := range []*corev1.Service{
		{ObjectMeta: meta("web"), Spec: corev1.ServiceSpec{ClusterIP: "10.1.2.3", Ports: []corev1.ServicePort{{Name: "http", Protocol: corev1.ProtocolTCP, Port: 80}}}},
		{ObjectMeta: meta("headless"), Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone}},
		{ObjectMeta: meta("elsewhere"), Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "example.com"}},
	} {
		if err := services.Add(s); err != nil {
			t.Fatal(err)
		}
	}
	slices := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	err := slices.Add(&discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "headless-1", Labels: map[string]string{discoveryv1.LabelServiceName: "headless"}},
		Endpoints: []discoveryv1.Endpoint{
			{Addresses: []string{"10.9.0.1"}, Hostname: &host},
			{Addresses: []string{"10.9.0.2"}, Conditions: discoveryv1.EndpointConditions{Ready: ptr(false)}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return NewServer("cluster.local", corelisters.NewServiceLister(services), discoverylisters.NewEndpointSliceLister(slices), nil)
}

func TestAnswer(t *testing.T) {
	s := testServer(t)
	for _, tc := range []struct {
		name  string
		kind  uint16
		rcode int
		want  []string
	}{
		{"web.team.svc.cluster.local.", dns.TypeA, dns.RcodeSuccess, []string{"10.1.2.3"}},
		{"WEB.Team.svc.CLUSTER.local.", dns.TypeA, dns.RcodeSuccess, []string{"10.1.2.3"}},
		{"web.team.svc.cluster.local.", dns.TypeAAAA, dns.RcodeSuccess, nil},
		{"web.other.svc.cluster.local.", dns.TypeA, dns.RcodeNameError, nil},
		{"headless.team.svc.cluster.local.", dns.TypeA, dns.RcodeSuccess, []string{"10.9.0.1"}},
		{"web-0.headless.team.svc.cluster.local.", dns.TypeA, dns.RcodeSuccess, []string{"10.9.0.1"}},
		{"10-9-0-1.headless.team.svc.cluster.local.", dns.TypeA, dns.RcodeSuccess, []string{"10.9.0.1"}},
		{"web-1.headless.team.svc.cluster.local.", dns.TypeA, dns.RcodeNameError, nil},
		{"elsewhere.team.svc.cluster.local.", dns.TypeA, dns.RcodeSuccess, []string{"example.com."}},
		{"_http._tcp.web.team.svc.cluster.local.", dns.TypeSRV, dns.RcodeSuccess, []string{"web.team.svc.cluster.local.:80"}},
		{"_smtp._tcp.web.team.svc.cluster.local.", dns.TypeSRV, dns.RcodeNameError, nil},
		{"team.svc.cluster.local.", dns.TypeA, dns.RcodeSuccess, nil},
		{"example.com.cluster.local.", dns.TypeA, dns.RcodeNameError, nil},
		{"cluster.local.", dns.TypeA, dns.RcodeSuccess, nil},
		{"3.2.1.10.in-addr.arpa.", dns.TypePTR, dns.RcodeSuccess, []string{"web.team.svc.cluster.local."}},
	} {
		t.Run(tc.name+dns.TypeToString[tc.kind], func(t *testing.T) {
			if !s.ours(tc.name) {
				t.Fatal("the question would have been passed on")
			}
			resp := s.Answer(new(dns.Msg).SetQuestion(tc.name, tc.kind))
			if resp.Rcode != tc.rcode {
				t.Errorf("rcode is %s, want %s", dns.RcodeToString[resp.Rcode], dns.RcodeToString[tc.rcode])
			}
			var got []string
			for _, rr := range resp.Answer {
				switch rr := rr.(type) {
				case *dns.A:
					got = append(got, rr.A.String())
				case *dns.CNAME:
					got = append(got, rr.Target)
				case *dns.PTR:
					got = append(got, rr.Ptr)
				case *dns.SRV:
					got = append(got, rr.Target+":80")
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
	for _, name := range []string{"example.com.", "notcluster.local.", "1.1.1.1.in-addr.arpa."} {
		if s.ours(name) {
			t.Errorf("%s was taken for a name of the cluster", name)
		}
	}
}

func TestNameServers(t *testing.T) {
	got := nameServers("search x\nnameserver 192.0.2.1\n#nameserver 192.0.2.2\nnameserver fd00::1\n")
	if want := []string{"192.0.2.1:53", "[fd00::1]:53"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
