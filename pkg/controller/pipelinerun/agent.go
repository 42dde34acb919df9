// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
)

const (
	// maxLogHead is how much of a log is searched for the agent, in bytes: the line stands near its
	// beginning.
	maxLogHead = 64 << 10
	// maxLogScan is how much of a log is read to find out how it ended, in bytes.
	maxLogScan = 8 << 20
	// maxLogTail is how much of a log's end is searched for the reason of its end, in bytes.
	maxLogTail = 4 << 10
	// agentContainer is the name of the container that Jenkins' own agent runs in.
	agentContainer = "jnlp"
)

var (
	// runningOn is what the step node prints once it has its agent; a Kubernetes agent has the name
	// of its pod.
	runningOn = regexp.MustCompile(`(?m)^Running on (\S+) in `)
	// stillWaiting is what it prints while it has none, with the reason in the next line.
	stillWaiting = regexp.MustCompile(`(?m)^Still waiting to schedule task\r?\n(.*)$`)
)

// findAgent notes which pod a run's steps run in, and on which node and image, while the pod is
// there. It looks at the beginning of the log until it has found the pod. It gives the reason if the
// run waits for its agent, and ends a run that has waited for one that cannot start for too long.
func (s *scope) findAgent(ctx context.Context) (waits string, err error) {
	known := s.run.Annotations[devopsv1alpha3.AgentPodNameAnnotation]
	switch {
	case s.blocked != "":
		return s.waitForAgent(ctx, s.blocked, true)
	case known != "":
		s.refreshPod(ctx, known)
		return "", nil
	case s.hasAgent():
		return "", nil // one that is no pod
	case !s.over && s.noAgentYet():
		// There is nothing to see in the log before a pod runs; after the build its pod may be gone.
		return s.waitForAgent(ctx, "", false)
	}
	head, err := s.logHead(ctx)
	if err != nil {
		if away(err) {
			return "", s.failed(err)
		}
		return "", nil // a log that cannot be read is no failure of the run
	}
	if found := runningOn.FindSubmatch(head); found != nil {
		s.readPod(ctx, string(found[1]))
		s.agentFound(string(found[1]))
		return "", nil
	}
	if found := stillWaiting.FindAllSubmatch(head, -1); found != nil {
		return s.waitForAgent(ctx, strings.TrimSpace(string(found[len(found)-1][1])), true)
	}
	return s.waitForAgent(ctx, "", false)
}

func (s *scope) logHead(ctx context.Context) ([]byte, error) {
	text, _, _, err := s.Jenkins.Log(ctx, s.folder, s.job, s.build(), 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = text.Close() }()
	return io.ReadAll(io.LimitReader(text, maxLogHead))
}

// readPod notes pod, node and image. The name comes from a log, into which a Jenkinsfile can write
// anything, so a pod that is not known to be an agent for this project is left alone.
func (s *scope) readPod(ctx context.Context, name string) {
	if len(validation.IsDNS1123Subdomain(name)) > 0 {
		return // "Running on Jenkins in …" is no pod
	}
	if s.Agents != nil {
		if pod, ok := s.Agents.Find(name); ok {
			if pod.Project == "" || pod.Project == s.run.Namespace {
				s.notePod(pod.Name, pod.Node, pod.Image)
			}
			return
		}
	}
	pod := &corev1.Pod{}
	if err := s.Pods.Get(ctx, client.ObjectKey{Namespace: s.Options.WorkerNamespace, Name: name}, pod); err != nil {
		if client.IgnoreNotFound(err) != nil {
			ctrl.LoggerFrom(ctx).V(1).Info("the agent pod cannot be read", "pod", name, "error", err.Error())
		}
		return
	}
	project, labelled := pod.Labels[devopsv1alpha3.ProjectPodLabel]
	if labelled && project != s.run.Namespace || !labelled && pod.Labels["jenkins"] == "" {
		return
	}
	s.notePod(pod.Name, pod.Spec.NodeName, agentImage(pod))
}

func (s *scope) notePod(name, node, image string) {
	s.annotate(devopsv1alpha3.AgentPodNameAnnotation, name)
	if node != "" {
		s.annotate(devopsv1alpha3.AgentNodeNameAnnotation, node)
	}
	if image != "" {
		s.annotate(devopsv1alpha3.AgentImageAnnotation, image)
	}
}

// refreshPod fills in what was not known yet when the pod was found.
func (s *scope) refreshPod(ctx context.Context, name string) {
	s.agentFound(name)
	if s.Agents == nil || s.run.Annotations[devopsv1alpha3.AgentNodeNameAnnotation] != "" && s.run.Annotations[devopsv1alpha3.AgentImageAnnotation] != "" {
		return
	}
	if _, ok := s.Agents.Find(name); ok {
		s.readPod(ctx, name)
	}
}

// agentImage gives the image, by digest if the node reports one, of the container that the agent
// runs in.
func agentImage(pod *corev1.Pod) string {
	container := ""
	for _, c := range pod.Spec.Containers {
		isAgent := slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == "JENKINS_AGENT_NAME" })
		if isAgent || c.Name == agentContainer && container == "" {
			container = c.Name
			if isAgent {
				break
			}
		}
	}
	for i, status := range pod.Status.ContainerStatuses {
		if status.Name == container || container == "" && i == 0 {
			return status.ImageID
		}
	}
	return ""
}

// interrupted tells if the log of an aborted build ends with the note of an engine that was restarted
// under it.
func (s *scope) interrupted(ctx context.Context) (bool, error) {
	tail, err := s.logTail(ctx)
	return bytes.Contains(tail, []byte("interrupted by a restart")), err
}

// logTail gives the end of the log; nil if there is none. The error is that of a Jenkins that is away.
func (s *scope) logTail(ctx context.Context) ([]byte, error) {
	text, _, _, err := s.Jenkins.Log(ctx, s.folder, s.job, s.build(), 0)
	if err != nil {
		return nil, onlyAway(err)
	}
	defer func() { _ = text.Close() }()
	tail, err := tailOf(io.LimitReader(text, maxLogScan), maxLogTail)
	if err != nil {
		return nil, onlyAway(err)
	}
	return tail, nil
}

// onlyAway gives the error if it says that Jenkins is away: what cannot be read for another reason is not read again.
func onlyAway(err error) error {
	if away(err) {
		return err
	}
	return nil
}

// tailOf reads r to its end and gives at least its last n bytes.
func tailOf(r io.Reader, n int) ([]byte, error) {
	var tail []byte
	buf := make([]byte, 32<<10)
	for {
		k, err := r.Read(buf)
		tail = append(tail, buf[:k]...)
		if len(tail) > 2*n {
			tail = append(tail[:0], tail[len(tail)-n:]...)
		}
		switch {
		case errors.Is(err, io.EOF):
			return tail, nil
		case err != nil:
			return nil, fmt.Errorf("read log: %w", err)
		}
	}
}
