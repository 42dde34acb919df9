// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/up"
)

// Jenkinsfile is the demo's pipeline. LABEL and REPOSITORY are replaced.
//
//go:embed Jenkinsfile
var Jenkinsfile string

// MarkerFile is baked into the demo's image.
const MarkerFile = "/etc/slipway-marker"

// Config of a demo.
type Config struct {
	// State is the running `slipway up` to play against.
	State *up.State
	// GitHost is the address to serve the demo's repository on; State.HostIP if empty. Pods must
	// be able to reach it.
	GitHost string
	// Image is the dev container's image, which holds MarkerFile and git; State.DevImage if empty.
	Image string
	// Keep leaves what the demo made.
	Keep bool
	// Out gets what the demo does and sees.
	Out io.Writer
}

// Run plays the whole job and fails at the first thing that is not as it should be. What it made is
// deleted even then.
func Run(ctx context.Context, config Config) (err error) {
	d, err := newDemo(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	steps := []struct {
		title string
		run   func(context.Context) error
	}{
		{"project", d.project},
		{"temporary key pair", d.keyPair},
		{"dev container by the DevStar call", d.devContainer},
		{"ssh into the dev container", d.ssh},
		{"pipeline whose agent is the dev container's label", d.pipeline},
		{"run with debug=false", func(ctx context.Context) error { return d.run(ctx, false) }},
		{"run with debug=true", func(ctx context.Context) error { return d.run(ctx, true) }},
		{"artifact from S3", d.artifact},
	}
	start := time.Now()
	for i, step := range steps {
		began := time.Now()
		d.say("\n[%d/%d] %s\n", i+1, len(steps)+1, step.title)
		if err := step.run(ctx); err != nil {
			if !config.Keep {
				// The clean-up has time of its own: ctx may be what ended the step.
				cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
				defer cancel()
				err = errors.Join(err, d.session.DeleteProject(cleanup, d.name))
			}
			return fmt.Errorf("%s: %w", step.title, err)
		}
		d.say("      %s\n", time.Since(began).Round(10*time.Millisecond))
	}
	if config.Keep {
		d.say("\nKept: project %s\n", d.name)
		return nil
	}
	d.say("\n[%d/%d] clean-up\n", len(steps)+1, len(steps)+1)
	if err := d.cleanup(ctx); err != nil {
		return fmt.Errorf("clean-up: %w", err)
	}
	d.say("\nThe whole job took %s.\n", time.Since(start).Round(100*time.Millisecond))
	return nil
}

// demo is the state of one play.
type demo struct {
	config     Config
	session    *Session
	repository *Repository
	dir        string
	name       string
	repoID     int64
	marker     string
	keyFile    string
	publicKey  string
	container  *DevContainer
	lastRun    *devopsv1alpha3.PipelineRun
	lastLog    string
}

func newDemo(ctx context.Context, config Config) (*demo, error) {
	if config.GitHost == "" {
		config.GitHost = config.State.HostIP
	}
	if config.Image == "" {
		config.Image = config.State.DevImage
	}
	if config.GitHost == "" {
		return nil, errors.New("no address of this machine that pods can reach is known: name one with --git-host")
	}
	if config.Image == "" {
		return nil, errors.New("no image for the dev container is known: name one with --image")
	}
	password, err := config.State.Password()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "slipway-demo-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the demo: %w", err)
	}
	d := &demo{config: config, dir: dir}
	if d.session, err = NewSession(ctx, config.State.URL, config.State.Username, password, dir); err != nil {
		return nil, errors.Join(err, d.close())
	}
	if d.repository, err = ServeRepository(ctx, dir, config.GitHost); err != nil {
		return nil, errors.Join(err, d.close())
	}
	id, err := rand.Int(rand.Reader, big.NewInt(1<<40))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("choose a repository id: %w", err), d.close())
	}
	d.repoID = id.Int64() + 1
	d.name = "demo-" + strconv.FormatInt(d.repoID, 36)
	return d, nil
}

func (d *demo) close() error {
	var err error
	if d.repository != nil {
		err = d.repository.Close()
	}
	return errors.Join(err, os.RemoveAll(d.dir))
}

func (d *demo) say(format string, args ...any) {
	// A reader who has gone does not stop the demo.
	_, _ = fmt.Fprintf(d.config.Out, format, args...)
}

func (d *demo) project(ctx context.Context) error {
	if err := d.session.CreateProject(ctx, d.name); err != nil {
		return err
	}
	d.say("      project, namespace and Jenkins folder %s\n", d.name)
	if err := d.session.CreateRepository(ctx, d.name, "hello", d.repository.URL, d.config.Image, d.repoID); err != nil {
		return err
	}
	d.say("      repository %s with id %d, last commit %s\n", d.repository.URL, d.repoID, d.repository.Commit)
	return nil
}

func (d *demo) keyPair(ctx context.Context) (err error) {
	if d.keyFile, d.publicKey, err = d.session.NewKeyPair(ctx); err != nil {
		return err
	}
	d.say("      %s…\n", d.publicKey[:min(len(d.publicKey), 40)])
	return nil
}

func (d *demo) devContainer(ctx context.Context) (err error) {
	if d.container, err = d.session.CreateDevContainer(ctx, d.repoID, d.name, d.keyFile, d.publicKey); err != nil {
		return err
	}
	c := d.container
	d.say("      ready: %s@%s port %d, image %s\n", c.Username, c.Host, c.Port, c.ImageID)
	d.say("      agent label %s\n", c.AgentLabel)
	return nil
}

func (d *demo) ssh(ctx context.Context) error {
	out, err := d.session.SSH(ctx, d.container, "git -C "+d.container.WorkDir+" log -1 --format='%H %s' && cat "+MarkerFile)
	if err != nil {
		return err
	}
	commit, marker, _ := strings.Cut(out, "\n")
	d.say("      last commit: %s\n      marker: %s\n", commit, marker)
	if commit != d.repository.Commit+" "+d.repository.Subject {
		return fmt.Errorf("the clone is at %q, the repository at %s", commit, d.repository.Commit)
	}
	if marker == "" {
		return fmt.Errorf("%s is empty", MarkerFile)
	}
	d.marker = marker
	return nil
}

func (d *demo) pipeline(ctx context.Context) error {
	jenkinsfile := strings.NewReplacer("LABEL", d.container.AgentLabel, "REPOSITORY", d.repository.URL).Replace(Jenkinsfile)
	if err := d.session.CreatePipeline(ctx, d.name, "icetest", jenkinsfile); err != nil {
		return err
	}
	d.say("      job %s/icetest is in Jenkins\n", d.name)
	return nil
}

func (d *demo) run(ctx context.Context, debug bool) error {
	run, err := d.session.StartRun(ctx, d.name, "icetest",
		devopsv1alpha3.Parameter{Name: "name", Value: "morty"},
		devopsv1alpha3.Parameter{Name: "debug", Value: strconv.FormatBool(debug)},
		devopsv1alpha3.Parameter{Name: "kubernetesVersion", Value: "v1.18.9"})
	if err != nil {
		return err
	}
	d.say("      run %s\n", run.Name)
	var log bytes.Buffer
	logged := make(chan error, 1)
	go func() { logged <- d.session.StreamLog(ctx, run, &log) }()
	var phases []string
	ended, err := d.session.FollowRun(ctx, run, func(phase devopsv1alpha3.RunPhase) { phases = append(phases, string(phase)) })
	if err != nil {
		return err
	}
	if err := <-logged; err != nil {
		return err
	}
	d.lastRun, d.lastLog = ended, log.String()
	d.say("      phases: %s\n", strings.Join(phases, " → "))
	for line := range strings.Lines(d.lastLog) {
		d.say("      | %s\n", strings.TrimRight(line, "\r\n"))
	}
	if want := []string{"Pending", "Running", "Succeeded"}; !slices.Equal(phases, want) {
		return fmt.Errorf("the phases were %v, not %v: %s", phases, want, conditionText(ended))
	}
	return d.checkRun(ctx, debug)
}

// checkRun holds the log, the agent's image and the stages of the last run against what they have
// to be.
func (d *demo) checkRun(ctx context.Context, debug bool) error {
	wanted := map[string]bool{
		"My name is morty.":                                     true,
		"Target Kubernetes version is v1.18.9":                  true,
		"Another way to use param: morty":                       debug,
		"It's joke, there're debug info here.":                  debug,
		"Stage \"debug stage\" skipped due to when conditional": !debug,
		d.marker: true,
	}
	for text, want := range wanted {
		if strings.Contains(d.lastLog, text) != want {
			return fmt.Errorf("log has %q: %t, want %t", text, !want, want)
		}
	}
	image := d.lastRun.Annotations[devopsv1alpha3.AgentImageAnnotation]
	d.say("      agent pod %s ran image %s\n", d.lastRun.Annotations[devopsv1alpha3.AgentPodNameAnnotation], image)
	if image == "" || image != d.container.ImageID {
		return fmt.Errorf("the agent ran image %q, the dev container runs %q", image, d.container.ImageID)
	}
	stages, err := d.session.Stages(ctx, d.lastRun)
	if err != nil {
		return err
	}
	for _, stage := range stages {
		if stage.DisplayName != "debug stage" {
			continue
		}
		d.say("      debug stage: %s %s\n", stage.State, stage.Result)
		want := Stage{DisplayName: "debug stage", State: "SKIPPED", Result: "NOT_BUILT"}
		if debug {
			want.State, want.Result = "FINISHED", "SUCCESS"
		}
		if stage != want {
			return fmt.Errorf("debug stage is %s %s, want %s %s", stage.State, stage.Result, want.State, want.Result)
		}
		return nil
	}
	return fmt.Errorf("the run has no debug stage: %v", stages)
}

func (d *demo) artifact(ctx context.Context) error {
	content, err := d.session.Artifact(ctx, d.lastRun, "out/random.bin")
	if err != nil {
		return err
	}
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])
	d.say("      %s: %d bytes, sha256 %s\n", filepath.Base("out/random.bin"), len(content), digest)
	if len(content) == 0 || !strings.Contains(d.lastLog, digest) {
		return errors.New("the bytes are not those whose sum the build printed")
	}
	return nil
}

func (d *demo) cleanup(ctx context.Context) error {
	if err := d.session.DeleteDevContainer(ctx, d.repoID, d.container); err != nil {
		return err
	}
	if err := d.session.DeleteProject(ctx, d.name); err != nil {
		return err
	}
	left, err := Leftovers(ctx, d.config.State, d.name, d.container.AgentLabel)
	if err != nil {
		return err
	}
	for _, place := range []string{"Kubernetes", "Jenkins", "S3"} {
		d.say("      left in %s: %d %s\n", place, len(left[place]), strings.Join(left[place], ", "))
	}
	if n := len(left["Kubernetes"]) + len(left["Jenkins"]) + len(left["S3"]); n > 0 {
		return fmt.Errorf("%d objects are left", n)
	}
	return nil
}

func conditionText(run *devopsv1alpha3.PipelineRun) string {
	var texts []string
	for _, condition := range run.Status.Conditions {
		texts = append(texts, fmt.Sprintf("%s=%s %s %s", condition.Type, condition.Status, condition.Reason, condition.Message))
	}
	return strings.Join(texts, "; ")
}
