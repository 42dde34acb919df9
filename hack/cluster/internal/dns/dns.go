// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package dns answers the questions that pods of a development cluster ask for
// names: those of Services and their endpoints from the Kubernetes API, all
// others by passing them on to the host's name servers.
package dns

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

const (
	// ttl is how long, in seconds, an answer may be kept. Tests make and remove
	// Services quickly.
	ttl = 5
	// forwardTimeout bounds a question to one name server.
	forwardTimeout = 3 * time.Second
)

// Main serves until ctx is done. Its flags are --kubeconfig, --domain,
// --listen (IP:port, UDP and TCP) and --resolv-conf (where the name servers
// for other names are listed).
func Main(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("dns", flag.ContinueOnError)
	kubeconfig := fs.String("kubeconfig", "", "kubeconfig `file` of the cluster")
	domain := fs.String("domain", "cluster.local", "`domain` of the cluster")
	listen := fs.String("listen", "127.0.0.1:53", "`address` to answer at")
	resolvConf := fs.String("resolv-conf", "/etc/resolv.conf", "`file` with the name servers for other names")
	if err := fs.Parse(args); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return fmt.Errorf("reading kubeconfig: %w", err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("making client: %w", err)
	}
	resolv, err := os.ReadFile(*resolvConf)
	if err != nil {
		return fmt.Errorf("reading name servers: %w", err)
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	s := NewServer(*domain, factory.Core().V1().Services().Lister(), factory.Discovery().V1().EndpointSlices().Lister(), nameServers(string(resolv)))
	factory.Start(ctx.Done())
	for kind, ok := range factory.WaitForCacheSync(ctx.Done()) {
		if !ok {
			return fmt.Errorf("the cache of %v did not fill: %w", kind, ctx.Err())
		}
	}
	return s.serve(ctx, *listen)
}

// nameServers lists the servers of a resolv.conf as host:port.
func nameServers(resolv string) []string {
	var out []string
	for line := range strings.Lines(resolv) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "nameserver" {
			out = append(out, net.JoinHostPort(f[1], "53"))
		}
	}
	return out
}

// Server is a dns.Handler. Use NewServer to make one.
type Server struct {
	domain   string // with a dot at its end
	services corelisters.ServiceLister
	slices   discoverylisters.EndpointSliceLister
	upstream []string
}

// NewServer returns a server for a cluster's domain that passes other
// questions on to upstream, a list of host:port.
func NewServer(domain string, services corelisters.ServiceLister, slices discoverylisters.EndpointSliceLister, upstream []string) *Server {
	return &Server{domain: dns.Fqdn(strings.ToLower(domain)), services: services, slices: slices, upstream: upstream}
}

func (s *Server) serve(ctx context.Context, addr string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, 2)
	for _, network := range []string{"udp", "tcp"} {
		server := &dns.Server{Addr: addr, Net: network, Handler: s}
		go func() { failed <- server.ListenAndServe() }()
		context.AfterFunc(ctx, func() { _ = server.Shutdown() }) // it may not have started
	}
	klog.InfoS("Answering names", "address", addr, "domain", s.domain, "upstream", s.upstream)
	select {
	case err := <-failed:
		return fmt.Errorf("answering at %s: %w", addr, errors.Join(err, ctx.Err()))
	case <-ctx.Done():
		return nil
	}
}

// ServeDNS implements dns.Handler.
func (s *Server) ServeDNS(w dns.ResponseWriter, req *dns.Msg) {
	var resp *dns.Msg
	if len(req.Question) == 1 && s.ours(req.Question[0].Name) {
		resp = s.Answer(req)
	} else {
		resp = s.forward(w.RemoteAddr().Network(), req)
	}
	if w.RemoteAddr().Network() == "udp" {
		size := dns.MinMsgSize
		if opt := req.IsEdns0(); opt != nil {
			size = max(size, int(opt.UDPSize()))
		}
		resp.Truncate(size)
	}
	_ = w.WriteMsg(resp) // the asker may be gone
}

func (s *Server) ours(name string) bool {
	name = strings.ToLower(name)
	return dns.IsSubDomain(s.domain, name) || dns.IsSubDomain("in-addr.arpa.", name) && s.reverse(name) != ""
}

// forward passes a question on to the first name server that answers.
func (s *Server) forward(network string, req *dns.Msg) *dns.Msg {
	client := &dns.Client{Net: network, Timeout: forwardTimeout, UDPSize: dns.DefaultMsgSize}
	for _, server := range s.upstream {
		if resp, _, err := client.Exchange(req, server); err == nil {
			resp.Id = req.Id
			return resp
		}
	}
	return new(dns.Msg).SetRcode(req, dns.RcodeServerFailure)
}

// Answer answers one question for a name of the cluster.
func (s *Server) Answer(req *dns.Msg) *dns.Msg {
	resp := new(dns.Msg).SetReply(req)
	resp.Authoritative, resp.RecursionAvailable = true, true
	q := req.Question[0]
	name := strings.ToLower(q.Name)
	header := func(kind uint16) dns.RR_Header {
		return dns.RR_Header{Name: q.Name, Rrtype: kind, Class: dns.ClassINET, Ttl: ttl}
	}
	if dns.IsSubDomain("in-addr.arpa.", name) {
		if q.Qtype == dns.TypePTR {
			resp.Answer = append(resp.Answer, &dns.PTR{Hdr: header(dns.TypePTR), Ptr: s.reverse(name)})
		}
		return resp
	}
	found, known := s.lookup(strings.TrimSuffix(strings.TrimSuffix(name, s.domain), "."))
	if !known {
		resp.Rcode = dns.RcodeNameError
		return resp
	}
	switch q.Qtype {
	case dns.TypeA:
		for _, ip := range found.addrs {
			resp.Answer = append(resp.Answer, &dns.A{Hdr: header(dns.TypeA), A: ip.AsSlice()})
		}
	case dns.TypeSRV:
		for _, port := range found.ports {
			resp.Answer = append(resp.Answer, &dns.SRV{Hdr: header(dns.TypeSRV), Weight: 100, Port: port, Target: found.service + s.domain})
		}
	}
	if found.cname != "" && (q.Qtype == dns.TypeA || q.Qtype == dns.TypeAAAA || q.Qtype == dns.TypeCNAME) {
		resp.Answer = append(resp.Answer, &dns.CNAME{Hdr: header(dns.TypeCNAME), Target: dns.Fqdn(found.cname)})
	}
	return resp
}

// found is what a name stands for.
type found struct {
	addrs   []netip.Addr
	ports   []uint16
	cname   string
	service string // "name.namespace.svc."
}

// lookup finds what a name, given without the cluster's domain, stands for, and
// tells whether the name exists at all. It knows SERVICE.NAMESPACE.svc,
// HOST.SERVICE.NAMESPACE.svc and _PORT._PROTOCOL.SERVICE.NAMESPACE.svc.
func (s *Server) lookup(name string) (found, bool) {
	parts := strings.Split(name, ".")
	n := len(parts)
	if name == "" || n <= 2 && parts[n-1] == "svc" {
		return found{}, true // an inner node of the tree
	}
	if n < 3 || parts[n-1] != "svc" {
		return found{}, false
	}
	service, err := s.services.Services(parts[n-2]).Get(parts[n-3])
	if err != nil {
		return found{}, false
	}
	f := found{service: service.Name + "." + service.Namespace + ".svc."}
	switch prefix := parts[:n-3]; {
	case len(prefix) == 0:
		return s.whole(service, f), true
	case len(prefix) == 2 && strings.HasPrefix(prefix[0], "_") && strings.HasPrefix(prefix[1], "_"):
		for _, port := range service.Spec.Ports {
			if port.Name == prefix[0][1:] && strings.EqualFold(string(port.Protocol), prefix[1][1:]) {
				f.ports = append(f.ports, uint16(port.Port))
			}
		}
		f.addrs = s.whole(service, f).addrs
		return f, len(f.ports) > 0
	case len(prefix) == 1:
		s.endpoints(service, func(e discoveryv1.Endpoint, addr netip.Addr) {
			if (e.Hostname != nil && *e.Hostname == prefix[0]) || strings.ReplaceAll(addr.String(), ".", "-") == prefix[0] {
				f.addrs = append(f.addrs, addr)
			}
		})
		return f, len(f.addrs) > 0
	}
	return found{}, false
}

func (s *Server) whole(service *corev1.Service, f found) found {
	switch {
	case service.Spec.Type == corev1.ServiceTypeExternalName:
		f.cname = service.Spec.ExternalName
	case service.Spec.ClusterIP == corev1.ClusterIPNone:
		s.endpoints(service, func(_ discoveryv1.Endpoint, addr netip.Addr) { f.addrs = append(f.addrs, addr) })
	default:
		if addr, err := netip.ParseAddr(service.Spec.ClusterIP); err == nil {
			f.addrs = append(f.addrs, addr)
		}
	}
	return f
}

// endpoints calls f for each address behind a Service that may be used.
func (s *Server) endpoints(service *corev1.Service, f func(discoveryv1.Endpoint, netip.Addr)) {
	list, err := s.slices.EndpointSlices(service.Namespace).List(labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: service.Name}))
	if err != nil {
		return // the cache of an informer does not fail
	}
	for _, slice := range list {
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready != nil && !*e.Conditions.Ready && !service.Spec.PublishNotReadyAddresses {
				continue
			}
			for _, a := range e.Addresses {
				if addr, err := netip.ParseAddr(a); err == nil && addr.Is4() {
					f(e, addr)
				}
			}
		}
	}
}

// reverse returns the name of the Service whose address is asked for in
// reverse, "" if there is none.
func (s *Server) reverse(name string) string {
	parts := strings.Split(strings.TrimSuffix(name, ".in-addr.arpa."), ".")
	if len(parts) != 4 {
		return ""
	}
	ip := parts[3] + "." + parts[2] + "." + parts[1] + "." + parts[0]
	all, err := s.services.List(labels.Everything())
	if err != nil {
		return ""
	}
	for _, service := range all {
		if service.Spec.ClusterIP == ip {
			return service.Name + "." + service.Namespace + ".svc." + s.domain
		}
	}
	return ""
}
