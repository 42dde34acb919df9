// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package cli is the command line of devcluster.
package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-dev/slipway/hack/cluster/internal/builder"
	"github.com/slipway-dev/slipway/hack/cluster/internal/cluster"
	"github.com/slipway-dev/slipway/hack/cluster/internal/layout"
	"github.com/slipway-dev/slipway/hack/cluster/internal/nodeconfig"
	"github.com/slipway-dev/slipway/hack/cluster/internal/require"
)

// envNoInstall refuses the installation of Debian packages when it is set.
const envNoInstall = "DEVCLUSTER_NO_INSTALL"

// ExitCode returns the process exit code for an error of a command: 3 if the
// machine lacks something, 1 for everything else.
func ExitCode(err error) int {
	if require.Is(err) {
		return require.ExitCode
	}
	return 1
}

// globals are the flags of every command.
type globals struct {
	repo, state string
	noInstall   bool
}

func (g *globals) layout() (layout.Layout, error) {
	repo := g.repo
	if repo == "" {
		var err error
		if repo, err = layout.FindRepo(); err != nil {
			return layout.Layout{}, err
		}
	}
	return layout.New(repo, g.state)
}

// install tells whether missing Debian packages may be installed.
func (g *globals) install() bool { return !g.noInstall && os.Getenv(envNoInstall) == "" }

// New returns the root command.
func New() *cobra.Command {
	g := &globals{}
	root := &cobra.Command{
		Use:           "devcluster",
		Short:         "Run a Kubernetes cluster of one node on this machine",
		Long:          "devcluster builds a real Kubernetes from Go modules and runs it in a network\nnamespace of this machine, for trying out and testing Slipway.",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	flags := root.PersistentFlags()
	flags.StringVar(&g.repo, "repo", "", "Slipway checkout (default: the one that holds this program or the working directory)")
	flags.StringVar(&g.state, "state-dir", os.Getenv("DEVCLUSTER_STATE_DIR"), "directory of the cluster's state (default: <repo>/.run/cluster, or $DEVCLUSTER_STATE_DIR)")
	flags.BoolVar(&g.noInstall, "no-install", false, "do not install missing Debian packages (also: "+envNoInstall+"=1)")
	root.AddCommand(
		buildCommand(g), upCommand(g), downCommand(g), statusCommand(g), kubeconfigCommand(g),
		logsCommand(g), imageCommand(g), loadImageCommand(g), superviseCommand(g),
	)
	return root
}

func buildCommand(g *globals) *cobra.Command {
	opts := builder.Options{}
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Build the cluster's programs into <repo>/.run/bin",
		Long: "Build the cluster's programs from Go modules into <repo>/.run/bin. What is up to\n" +
			"date is not built again. The first time takes about 6 minutes on two cores.\n\n" +
			"The directory serves as KUBEBUILDER_ASSETS for controller-runtime's envtest.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := g.layout()
			if err != nil {
				return err
			}
			opts.Out = cmd.OutOrStdout()
			compiled, err := builder.Build(cmd.Context(), l, opts)
			if err == nil && !compiled {
				fmt.Fprintln(opts.Out, "Everything is up to date.")
			}
			return err
		},
	}
	cmd.Flags().StringSliceVar(&opts.Only, "only", nil, "build only these: devcluster, containerd, kube")
	cmd.Flags().BoolVar(&opts.Force, "force", false, "build what is up to date as well")
	return cmd
}

func upCommand(g *globals) *cobra.Command {
	opts := cluster.UpOptions{}
	var noBuild bool
	var output string
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start the cluster, or repair it",
		Long: "Start the cluster and return when pods can run. A cluster that runs is left\n" +
			"alone; of one that was killed, the data is kept. Programs that are missing or\n" +
			"out of date are built first.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := g.layout()
			if err != nil {
				return err
			}
			opts.Out, opts.Install = cmd.ErrOrStderr(), g.install()
			if err := cluster.CheckUser(); err != nil {
				return err
			}
			if !noBuild {
				if _, err := builder.Build(cmd.Context(), l, builder.Options{Out: opts.Out}); err != nil {
					return err
				}
			}
			st, err := cluster.Up(cmd.Context(), l, opts)
			if err != nil {
				return err
			}
			return printStatus(cmd.OutOrStdout(), st, output)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&opts.Wait, "wait", true, "wait until pods can run")
	f.DurationVar(&opts.Timeout, "timeout", 2*time.Minute, "how long to wait")
	f.BoolVar(&opts.Node.NoFsync, "no-fsync", false, "let the database answer before its data is on disk (for tests: a crash of the machine may lose it)")
	f.BoolVar(&noBuild, "no-build", false, "do not build programs that are missing or out of date")
	outputFlag(cmd, &output)
	return cmd
}

func outputFlag(cmd *cobra.Command, output *string) {
	cmd.Flags().StringVarP(output, "output", "o", "text", "format of the output: text or json")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
}

func downCommand(g *globals) *cobra.Command {
	opts := cluster.DownOptions{}
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop the cluster and remove everything that belongs to it",
		Long: "Stop the cluster and remove its processes, mounts, network and data. Built\n" +
			"programs and the cache of images stay. It works on a half-started or killed\n" +
			"cluster, and a second time.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := g.layout()
			if err != nil {
				return err
			}
			opts.Out = cmd.ErrOrStderr()
			return cluster.Down(cmd.Context(), l, opts)
		},
	}
	cmd.Flags().BoolVar(&opts.KeepData, "keep-data", false, "keep the database, volumes, pushed images, keys and logs for the next up")
	return cmd
}

func statusCommand(g *globals) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how the cluster is",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := g.layout()
			if err != nil {
				return err
			}
			st, err := cluster.GetStatus(cmd.Context(), l)
			if err != nil {
				return err
			}
			return printStatus(cmd.OutOrStdout(), st, output)
		},
	}
	outputFlag(cmd, &output)
	return cmd
}

func printStatus(out io.Writer, st *cluster.Status, output string) error {
	switch output {
	case "json":
		return printJSON(out, st)
	case "text":
	default:
		return fmt.Errorf("the output format is text or json, not %q", output)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(label, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s:\t%s\n", label, value)
		}
	}
	phase := string(st.Phase)
	if st.Message != "" {
		phase += " (" + st.Message + ")"
	}
	line("Cluster", phase)
	line("State", st.StateDir)
	if st.NodeIP != "" {
		line("Kubeconfig", st.Kubeconfig)
		line("Kubernetes", st.Version+" at "+st.APIServer)
		line("Node", st.NodeIP+" (NodePorts answer here)")
		line("Host", st.HostIP+" (where pods reach this machine)")
		line("Pods", st.PodCIDR)
		line("Services", st.ServiceCIDR)
		line("Registry", st.Registry+", in image names "+st.RegistryName)
		line("Namespace", "ip netns exec "+st.NetNS+" …")
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(st.Components) == 0 {
		return nil
	}
	fmt.Fprintln(w, "\nCOMPONENT\tREADY\tPID\tRESTARTS\tAGE\tNOTE")
	for _, c := range st.Components {
		age := ""
		if c.Started != nil {
			age = time.Since(*c.Started).Round(time.Second).String()
		}
		fmt.Fprintf(w, "%s\t%t\t%d\t%d\t%s\t%s\n", c.Name, c.Ready, c.PID, c.Restarts, age, c.LastError)
	}
	return w.Flush()
}

func printJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func kubeconfigCommand(g *globals) *cobra.Command {
	var raw bool
	cmd := &cobra.Command{
		Use:   "kubeconfig",
		Short: "Print the path of the kubeconfig",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := g.layout()
			if err != nil {
				return err
			}
			content, err := os.ReadFile(l.Kubeconfig())
			if err != nil {
				return fmt.Errorf("%w: %w", cluster.ErrNotRunning, err)
			}
			if raw {
				_, err := cmd.OutOrStdout().Write(content)
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), l.Kubeconfig())
			return nil
		},
	}
	cmd.Flags().BoolVar(&raw, "raw", false, "print its content instead")
	return cmd
}

func superviseCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:    "supervise",
		Short:  "Run the cluster's programs (started by up)",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := g.layout()
			if err != nil {
				return err
			}
			return cluster.Supervise(cmd.Context(), l)
		},
	}
}

// componentNames lists what has a log.
func componentNames() []string {
	return []string{"supervisor", "etcd", "containerd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "provisioner", "dns"}
}

// qualify adds the registry's name to a name of an image that has none.
func qualify(ref string) string {
	first, _, slash := strings.Cut(ref, "/")
	if slash && (strings.ContainsAny(first, ".:") || first == "localhost") {
		return ref
	}
	return nodeconfig.RegistryName + "/" + ref
}
