// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package nodeconfig renders what the programs of a development cluster read
// at their start: keys, configuration files and command lines.
package nodeconfig

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/hack/cluster/internal/layout"
	"github.com/slipway-dev/slipway/hack/cluster/internal/netplan"
	"github.com/slipway-dev/slipway/hack/cluster/internal/pki"
)

// Names and ports of a cluster. Ports are in the node's own network namespace,
// where nothing else listens.
const (
	NodeName      = "slipway"
	ClusterDomain = "cluster.local"
	// RegistryName is the registry's name in references to images.
	RegistryName = "registry.slipway.internal"
	RegistryPort = 5000
	APIPort      = 6443
	DNSPort      = 53
	// PauseRepository and PauseTag name the image of pod sandboxes.
	PauseRepository = "slipway/pause"
	PauseTag        = "1"
	// StorageClass is the name of the default class; Provisioner serves it.
	StorageClass = "standard"
	Provisioner  = "slipway.dev/node-directory"

	apiServiceNS = "kubernetes.default.svc." + ClusterDomain
)

// Component is one program that the supervisor keeps running.
type Component struct {
	// Name is that of its log file and of its line in the status.
	Name string
	// Path and Args are its command line.
	Path string
	Args []string
	// Needs names the components that must be ready before it is started.
	Needs []string
	// Probe is asked until it says that the component is ready, and from then
	// on to find out whether it hangs. The zero Probe is always content.
	Probe Probe
}

// Probe is a question about a component's health: one of its fields is set.
type Probe struct {
	// URL must answer with status 200. TLS certificates are not checked.
	URL string
	// Unix is a socket that must accept a connection.
	Unix string
}

// Options are the choices a user has about how a cluster runs.
type Options struct {
	// NoFsync lets etcd answer before its data is on disk. A crash of the
	// machine, not of a process, can then lose the cluster's state.
	NoFsync bool `json:"noFsync"`
}

// Config is a rendered configuration.
type Config struct {
	// Components are in order: a component needs only earlier ones.
	Components []Component
	// APIServer is the base URL of the Kubernetes API.
	APIServer string
	// CAFile, AdminCert and AdminKey are for talking to it.
	CAFile, AdminCert, AdminKey string
}

// RegistryAddr is where the registry listens, as seen from the host, the node
// and the pods.
func RegistryAddr(plan netplan.Plan) string {
	return netip.AddrPortFrom(plan.NodeIP, RegistryPort).String()
}

// APIServerURL is the base URL of the Kubernetes API.
func APIServerURL(plan netplan.Plan) string {
	return "https://" + netip.AddrPortFrom(plan.NodeIP, APIPort).String()
}

// renderer carries what every part of the rendering needs.
type renderer struct {
	l    layout.Layout
	plan netplan.Plan
	opts Options

	ca         *pki.Authority
	frontProxy *pki.Authority
	files      map[string]string // base names of certificates → their files
	err        error
}

// Render writes every file and returns the components. It leaves files alone
// that are already right, and may be called while the cluster runs.
func Render(l layout.Layout, plan netplan.Plan, opts Options) (*Config, error) {
	r := &renderer{l: l, plan: plan, opts: opts, files: map[string]string{}}
	for _, dir := range []string{"config", "run", "logs", "etcd", "volumes", "kubelet", "containerd", "cni", "pod-logs", "opt", "plugins"} {
		if err := os.MkdirAll(l.In(dir), 0o755); err != nil {
			return nil, fmt.Errorf("making state directory: %w", err)
		}
	}
	// etcd complains about a directory that others can read.
	if err := os.Chmod(l.In("etcd"), 0o700); err != nil {
		return nil, fmt.Errorf("protecting the database: %w", err)
	}
	r.certificates()
	signingKey, err := pki.SigningKey(r.pki(), "service-account")
	if err != nil {
		return nil, err
	}
	r.kubeconfigs()
	r.containerd()
	r.kubelet()
	r.proxy()
	if r.err != nil {
		return nil, r.err
	}
	return &Config{
		Components: r.components(signingKey),
		APIServer:  APIServerURL(plan),
		CAFile:     r.ca.CertFile(),
		AdminCert:  r.crt("admin"),
		AdminKey:   r.key("admin"),
	}, nil
}

func (r *renderer) pki() string             { return r.l.In("pki") }
func (r *renderer) crt(name string) string  { return filepath.Join(r.pki(), name+".crt") }
func (r *renderer) key(name string) string  { return filepath.Join(r.pki(), name+".key") }
func (r *renderer) conf(name string) string { return r.l.In("config", name) }

func (r *renderer) certificates() {
	var err error
	if r.ca, err = pki.OpenAuthority(r.pki(), "ca"); err != nil {
		r.err = err
		return
	}
	if r.frontProxy, err = pki.OpenAuthority(r.pki(), "front-proxy-ca"); err != nil {
		r.err = err
		return
	}
	loopback := netip.MustParseAddr("127.0.0.1")
	masters := []string{"system:masters"}
	for _, leaf := range []pki.Leaf{
		{
			Name: "apiserver", User: "kube-apiserver",
			DNS: []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", apiServiceNS, NodeName},
			IPs: []netip.Addr{loopback, r.plan.NodeIP, r.plan.APIServiceIP()},
		},
		{Name: "kubelet-server", User: "system:node:" + NodeName, Groups: []string{"system:nodes"}, DNS: []string{NodeName}, IPs: []netip.Addr{loopback, r.plan.NodeIP}},
		{Name: "admin", User: "slipway-admin", Groups: masters},
		{Name: "apiserver-kubelet-client", User: "kube-apiserver-kubelet-client", Groups: masters},
		// One identity for all controllers: the cluster has one node and one
		// administrator, and separate ones cost a token each at every start.
		{Name: "kube-controller-manager", User: "system:kube-controller-manager", Groups: masters},
		{Name: "kube-scheduler", User: "system:kube-scheduler"},
		{Name: "kube-proxy", User: "system:kube-proxy"},
		{Name: "kubelet", User: "system:node:" + NodeName, Groups: []string{"system:nodes"}},
	} {
		if _, _, err := r.ca.Issue(leaf); err != nil {
			r.err = err
			return
		}
	}
	if _, _, err := r.frontProxy.Issue(pki.Leaf{Name: "front-proxy-client", User: "front-proxy-client"}); err != nil {
		r.err = err
	}
}

func (r *renderer) kubeconfigs() {
	if r.err != nil {
		return
	}
	for _, name := range []string{"kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet"} {
		r.writeJSON(r.conf(name+".kubeconfig"), 0o600, r.kubeconfigFor(name))
	}
	// The administrator's is the one that people read and copy.
	r.write(r.l.Kubeconfig(), 0o600, r.adminKubeconfig())
}

func (r *renderer) kubeconfigFor(user string) any {
	return map[string]any{
		"apiVersion":      "v1",
		"kind":            "Config",
		"current-context": "slipway",
		"clusters": []any{map[string]any{"name": "slipway", "cluster": map[string]any{
			"server": APIServerURL(r.plan), "certificate-authority": r.ca.CertFile(),
		}}},
		"users": []any{map[string]any{"name": user, "user": map[string]any{
			"client-certificate": r.crt(user), "client-key": r.key(user),
		}}},
		"contexts": []any{map[string]any{"name": "slipway", "context": map[string]any{"cluster": "slipway", "user": user}}},
	}
}

// adminKubeconfig holds its keys inline, so that the file can be copied.
func (r *renderer) adminKubeconfig() []byte {
	inline := func(file string) string {
		b, err := os.ReadFile(file)
		if err != nil && r.err == nil {
			r.err = fmt.Errorf("reading key for the kubeconfig: %w", err)
		}
		return base64.StdEncoding.EncodeToString(b)
	}
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: slipway
clusters:
- name: slipway
  cluster:
    server: %s
    certificate-authority-data: %s
users:
- name: slipway-admin
  user:
    client-certificate-data: %s
    client-key-data: %s
contexts:
- name: slipway
  context:
    cluster: slipway
    user: slipway-admin
`, APIServerURL(r.plan), inline(r.ca.CertFile()), inline(r.crt("admin")), inline(r.key("admin")))
}

func (r *renderer) containerd() {
	r.write(r.conf("containerd.toml"), 0o644, []byte(ContainerdConfig(r.l)))
	r.write(filepath.Join(r.l.HostsDir(), RegistryName, "hosts.toml"), 0o644, []byte(HostsTOML(r.plan)))
	r.writeJSON(filepath.Join(r.conf("cni"), "10-slipway.conflist"), 0o644, map[string]any{
		"cniVersion": "1.0.0",
		"name":       r.l.ID,
		"plugins": []any{
			// A cable of its own for each pod, and no bridge: what goes from pod
			// to pod is routed, so Services work the same whether or not the
			// kernel passes bridged packets through the firewall.
			map[string]any{
				"type": "ptp", "ipMasq": false,
				"ipam": map[string]any{
					"type":    "host-local",
					"dataDir": r.l.In("cni"),
					"ranges":  []any{[]any{map[string]any{"subnet": r.plan.PodCIDR.String()}}},
					"routes":  []any{map[string]any{"dst": "0.0.0.0/0"}},
				},
			},
			map[string]any{"type": "portmap", "capabilities": map[string]bool{"portMappings": true}, "backend": "nftables"},
		},
	})
}

// HostsTOML tells containerd where the registry with the stable name is.
func HostsTOML(plan netplan.Plan) string {
	url := "http://" + RegistryAddr(plan)
	return fmt.Sprintf("server = %q\n\n[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", url, url)
}

// ContainerdConfig is containerd's configuration file.
func ContainerdConfig(l layout.Layout) string {
	q := strconv.Quote
	return strings.Join([]string{
		"version = 3",
		"root = " + q(l.In("containerd")),
		"state = " + q(l.In("run", "containerd")),
		`disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.snapshotter.v1.native", "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs", "io.containerd.differ.v1.erofs", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]`,
		"[grpc]",
		"  address = " + q(l.ContainerdSocket()),
		"[ttrpc]",
		"  address = " + q(l.ContainerdSocket()+".ttrpc"),
		`[plugins."io.containerd.internal.v1.opt"]`,
		"  path = " + q(l.In("opt")),
		`[plugins."io.containerd.cri.v1.runtime"]`,
		"  # Without CAP_SYS_RESOURCE a process cannot lower its OOM score.",
		"  restrict_oom_score_adj = true",
		"  netns_mounts_under_state_dir = true",
		"  enable_unprivileged_ports = true",
		"  enable_unprivileged_icmp = true",
		`  [plugins."io.containerd.cri.v1.runtime".containerd]`,
		`    default_runtime_name = "runc"`,
		`    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]`,
		`      runtime_type = "io.containerd.runc.v2"`,
		`      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]`,
		"        Root = " + q(l.In("run", "runc")),
		"        SystemdCgroup = false",
		`  [plugins."io.containerd.cri.v1.runtime".cni]`,
		"    bin_dirs = [" + q(filepath.Join(l.Bin(), "cni")) + "]",
		"    conf_dir = " + q(l.In("config", "cni")),
		"    use_internal_loopback = true",
		`[plugins."io.containerd.cri.v1.images"]`,
		`  snapshotter = "overlayfs"`,
		`  [plugins."io.containerd.cri.v1.images".pinned_images]`,
		"    sandbox = " + q(RegistryName+"/"+PauseRepository+":"+PauseTag),
		`  [plugins."io.containerd.cri.v1.images".registry]`,
		"    config_path = " + q(l.HostsDir()),
		`[plugins."io.containerd.transfer.v1.local"]`,
		"  config_path = " + q(l.HostsDir()),
		"",
	}, "\n")
}

func (r *renderer) kubelet() {
	r.write(r.conf("resolv.conf"), 0o644, []byte(resolvConf(hostResolvers(), r.plan)))
	r.writeJSON(r.conf("kubelet.json"), 0o644, map[string]any{
		"apiVersion":     "kubelet.config.k8s.io/v1beta1",
		"kind":           "KubeletConfiguration",
		"authentication": map[string]any{"anonymous": map[string]any{"enabled": false}, "webhook": map[string]any{"enabled": true}, "x509": map[string]any{"clientCAFile": r.ca.CertFile()}},
		"authorization":  map[string]any{"mode": "Webhook"},
		"tlsCertFile":    r.crt("kubelet-server"), "tlsPrivateKeyFile": r.key("kubelet-server"),
		"containerRuntimeEndpoint": "unix://" + r.l.ContainerdSocket(),
		"podLogsDir":               r.l.In("pod-logs"),
		"volumePluginDir":          r.l.In("plugins"),
		"resolvConf":               r.conf("resolv.conf"),
		"clusterDomain":            ClusterDomain,
		"clusterDNS":               []string{r.plan.NodeIP.String()},
		"cgroupDriver":             "cgroupfs",
		"cgroupRoot":               "/" + r.l.ID,
		"failCgroupV1":             false,
		"failSwapOn":               false,
		"enforceNodeAllocatable":   []string{},
		"oomScoreAdj":              0,
		"makeIPTablesUtilChains":   false,
		// The node is a developer's machine: its disk is often fuller than a
		// server's, and pods must not be turned away for that.
		"evictionHard":                    map[string]string{"memory.available": "100Mi", "nodefs.available": "1%", "nodefs.inodesFree": "1%", "imagefs.available": "1%", "imagefs.inodesFree": "1%"},
		"imageGCHighThresholdPercent":     100,
		"imageGCLowThresholdPercent":      99,
		"serializeImagePulls":             false,
		"registryPullQPS":                 0,
		"eventRecordQPS":                  0,
		"kubeAPIQPS":                      100,
		"kubeAPIBurst":                    200,
		"syncFrequency":                   "10s",
		"nodeStatusUpdateFrequency":       "5s",
		"nodeStatusReportFrequency":       "1m",
		"nodeLeaseDurationSeconds":        40,
		"runtimeRequestTimeout":           "10m",
		"volumeStatsAggPeriod":            "-1s",
		"containerLogMaxSize":             "10Mi",
		"enableProfilingHandler":          false,
		"enableSystemLogHandler":          false,
		"localStorageCapacityIsolation":   true,
		"shutdownGracePeriod":             "0s",
		"shutdownGracePeriodCriticalPods": "0s",
		"logging":                         map[string]any{"verbosity": 1},
	})
}

func (r *renderer) proxy() {
	r.writeJSON(r.conf("kube-proxy.json"), 0o644, map[string]any{
		"apiVersion":         "kubeproxy.config.k8s.io/v1alpha1",
		"kind":               "KubeProxyConfiguration",
		"mode":               "nftables",
		"clientConnection":   map[string]any{"kubeconfig": r.conf("kube-proxy.kubeconfig"), "qps": 50, "burst": 100},
		"clusterCIDR":        r.plan.PodCIDR.String(),
		"hostnameOverride":   NodeName,
		"healthzBindAddress": "127.0.0.1:10256",
		"metricsBindAddress": "127.0.0.1:10249",
		"oomScoreAdj":        0,
		// The limits are those of the whole machine: leave them alone.
		"conntrack": map[string]any{"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
		"nftables":  map[string]any{"syncPeriod": "30s", "minSyncPeriod": "0s"},
	})
}

// disabledControllers have no work on one node without cloud.
var disabledControllers = []string{
	"node-ipam-controller", "service-lb-controller", "node-route-controller", "cloud-node-lifecycle-controller",
	"certificatesigningrequest-signing-controller", "certificatesigningrequest-approving-controller", "certificatesigningrequest-cleaner-controller",
	"horizontal-pod-autoscaler-controller", "ttl-controller", "bootstrap-signer-controller", "token-cleaner-controller",
	"legacy-serviceaccount-token-cleaner-controller",
}

func (r *renderer) components(signingKey string) []Component {
	bin := func(name string) string { return filepath.Join(r.l.Bin(), name) }
	etcd := []string{
		"--name=slipway", "--data-dir=" + r.l.In("etcd"),
		"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
		"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
		"--initial-cluster=slipway=http://127.0.0.1:2380",
		"--quota-backend-bytes=2147483648", "--log-level=warn",
		// Nobody else votes: an election need not wait for anyone.
		"--heartbeat-interval=50", "--election-timeout=250",
	}
	if r.opts.NoFsync {
		etcd = append(etcd, "--unsafe-no-fsync")
	}
	controllers := "*"
	for _, c := range disabledControllers {
		controllers += ",-" + c
	}
	return []Component{
		{
			Name: "etcd", Path: bin("etcd"), Args: etcd,
			Probe: Probe{URL: "http://127.0.0.1:2379/readyz"},
		},
		{
			Name: "containerd", Path: bin("containerd"),
			Args:  []string{"--config=" + r.conf("containerd.toml"), "--log-level=warn"},
			Probe: Probe{Unix: r.l.ContainerdSocket()},
		},
		{
			Name: "kube-apiserver", Path: bin("kube-apiserver"), Needs: []string{"etcd"},
			Args: []string{
				"--etcd-servers=http://127.0.0.1:2379",
				"--bind-address=0.0.0.0", "--advertise-address=" + r.plan.NodeIP.String(), "--secure-port=" + strconv.Itoa(APIPort),
				"--tls-cert-file=" + r.crt("apiserver"), "--tls-private-key-file=" + r.key("apiserver"),
				"--cert-dir=" + r.l.In("run"),
				"--client-ca-file=" + r.ca.CertFile(),
				"--service-account-key-file=" + signingKey, "--service-account-signing-key-file=" + signingKey,
				"--service-account-issuer=https://" + apiServiceNS,
				"--service-cluster-ip-range=" + r.plan.ServiceCIDR.String(),
				"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
				"--allow-privileged=true",
				"--kubelet-certificate-authority=" + r.ca.CertFile(),
				"--kubelet-client-certificate=" + r.crt("apiserver-kubelet-client"), "--kubelet-client-key=" + r.key("apiserver-kubelet-client"),
				"--kubelet-preferred-address-types=InternalIP",
				"--requestheader-client-ca-file=" + r.frontProxy.CertFile(), "--requestheader-allowed-names=front-proxy-client",
				"--requestheader-extra-headers-prefix=X-Remote-Extra-", "--requestheader-group-headers=X-Remote-Group", "--requestheader-username-headers=X-Remote-User",
				"--proxy-client-cert-file=" + r.crt("front-proxy-client"), "--proxy-client-key-file=" + r.key("front-proxy-client"),
				"--profiling=false", "--shutdown-delay-duration=0s",
			},
			Probe: Probe{URL: fmt.Sprintf("https://127.0.0.1:%d/readyz", APIPort)},
		},
		{
			Name: "kube-controller-manager", Path: bin("kube-controller-manager"), Needs: []string{"kube-apiserver"},
			Args: []string{
				"--kubeconfig=" + r.conf("kube-controller-manager.kubeconfig"),
				"--leader-elect=false", "--use-service-account-credentials=false", "--profiling=false",
				"--service-account-private-key-file=" + signingKey, "--root-ca-file=" + r.ca.CertFile(),
				"--allocate-node-cidrs=false", "--configure-cloud-routes=false",
				"--flex-volume-plugin-dir=" + r.l.In("plugins"),
				"--bind-address=127.0.0.1", "--kube-api-qps=100", "--kube-api-burst=200",
				"--controllers=" + controllers,
			},
			Probe: Probe{URL: "https://127.0.0.1:10257/healthz"},
		},
		{
			Name: "kube-scheduler", Path: bin("kube-scheduler"), Needs: []string{"kube-apiserver"},
			Args: []string{
				"--kubeconfig=" + r.conf("kube-scheduler.kubeconfig"),
				"--leader-elect=false", "--profiling=false", "--bind-address=127.0.0.1",
			},
			Probe: Probe{URL: "https://127.0.0.1:10259/healthz"},
		},
		{
			Name: "kubelet", Path: bin("kubelet"), Needs: []string{"kube-apiserver", "containerd", "registry"},
			Args: []string{
				"--config=" + r.conf("kubelet.json"), "--kubeconfig=" + r.conf("kubelet.kubeconfig"),
				"--root-dir=" + r.l.In("kubelet"), "--cert-dir=" + r.pki(),
				"--hostname-override=" + NodeName, "--node-ip=" + r.plan.NodeIP.String(),
			},
			Probe: Probe{URL: "http://127.0.0.1:10248/healthz"},
		},
		{
			Name: "kube-proxy", Path: bin("kube-proxy"), Needs: []string{"kube-apiserver"},
			Args: []string{"--config=" + r.conf("kube-proxy.json")},
			// Not /healthz: that fails while the node is being deleted.
			Probe: Probe{URL: "http://127.0.0.1:10256/livez"},
		},
		{
			Name: "provisioner", Path: bin("kube"), Needs: []string{"kube-apiserver"},
			Args: []string{"provisioner", "--kubeconfig=" + r.l.Kubeconfig(), "--dir=" + r.l.In("volumes"), "--node=" + NodeName},
		},
		{
			Name: "dns", Path: bin("kube"), Needs: []string{"kube-apiserver"},
			Args: []string{
				"dns", "--kubeconfig=" + r.l.Kubeconfig(), "--domain=" + ClusterDomain,
				"--listen=" + netip.AddrPortFrom(r.plan.NodeIP, DNSPort).String(), "--resolv-conf=" + r.conf("resolv.conf"),
			},
		},
	}
}

// hostResolvers is the host's list of name servers. A stub on a loopback
// address is of no use to a pod; where systemd-resolved runs, the real servers
// are in a file of its own.
func hostResolvers() string {
	for _, file := range []string{"/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"} {
		if b, err := os.ReadFile(file); err == nil {
			return string(b)
		}
	}
	return ""
}

// resolvConf is the host's configuration without name servers on loopback
// addresses, which are not the node's.
func resolvConf(host string, plan netplan.Plan) string {
	var out strings.Builder
	scanner := bufio.NewScanner(strings.NewReader(host))
	for scanner.Scan() {
		fields := strings.Fields(scanner.Text())
		if len(fields) >= 2 && fields[0] == "nameserver" {
			if addr, err := netip.ParseAddr(fields[1]); err == nil && addr.IsLoopback() {
				// Something on the host may forward what reaches its end of the
				// cable; most likely nothing does, and names fail at once.
				fields[1] = plan.HostIP.String()
			}
		}
		out.WriteString(strings.Join(fields, " ") + "\n")
	}
	return out.String()
}

func (r *renderer) writeJSON(file string, mode os.FileMode, v any) {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("encoding %s: %w", file, err)
	}
	r.write(file, mode, append(b, '\n'))
}

func (r *renderer) write(file string, mode os.FileMode, content []byte) {
	if r.err != nil {
		return
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		r.err = fmt.Errorf("writing configuration: %w", err)
		return
	}
	tmp := file + ".tmp"
	if err := os.WriteFile(tmp, content, mode); err != nil {
		r.err = fmt.Errorf("writing configuration: %w", err)
		return
	}
	if err := os.Rename(tmp, file); err != nil {
		r.err = fmt.Errorf("writing configuration: %w", err)
	}
}
