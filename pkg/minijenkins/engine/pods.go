// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
)

// PodRequest is a pod that a Jenkinsfile describes, by agent { kubernetes { … } } or podTemplate.
type PodRequest struct {
	// Layers are those of podTemplate blocks in one another, the outermost first; agent { kubernetes } has one. Each is
	// laid over what is before it.
	Layers []PodLayer
	// AgentContainer is the container in which steps run outside of container; empty leaves it to the provider.
	AgentContainer string
	// DefaultContainer is one that must be there; empty for none.
	DefaultContainer string
	// Cloud is the cloud that must be there; empty for any.
	Cloud string
}

// PodLayer is one podTemplate.
type PodLayer struct {
	// InheritFrom are names or labels of the provider's pod templates, apart by spaces or commas. The first is the lowest.
	InheritFrom string
	// YAML is a pod document; empty for none. It takes the place of what is inherited, unless Merge is set: then it
	// is laid over that, containers by their names.
	YAML  string
	Merge bool
	// Containers is a pod document with containers that are laid over all YAML; empty for none.
	Containers string
}

// PodProvider is an AgentProvider whose agents are pods, so that Jenkinsfiles may describe them.
type PodProvider interface {
	// CheckPod says why the build could not have the pod, as far as that can be known before it is asked for. Nil asks
	// if it may have pods of its own at all.
	CheckPod(pod *PodRequest) error
}

// Containers is an Agent that has more than one container.
type Containers interface {
	// InContainer gives the same agent with its steps in the container of that name. It is not released. That there is no such
	// container is a *StepError.
	InContainer(ctx context.Context, name string) (Agent, error)
}

// StepError is a failure that an Agent returns and that is the step's: the agent is well. Its message is for the user.
type StepError struct{ Message string }

func (e *StepError) Error() string { return e.Message }

// ErrNoPods says that the agents of a server are no pods.
var ErrNoPods = errors.New("the agents of this server are no pods; use an agent with a label")

// CheckPod asks the provider, which may have no pods.
func CheckPod(agents AgentProvider, pod *PodRequest) error {
	p, ok := agents.(PodProvider)
	if !ok {
		return ErrNoPods
	}
	return p.CheckPod(pod)
}

// stepFailure makes a StepError the failure of the step that it is.
func stepFailure(err error) error {
	var own *StepError
	if errors.As(err, &own) {
		return failed("%s", own.Message)
	}
	return err
}
