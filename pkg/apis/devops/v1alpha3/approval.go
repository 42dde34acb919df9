// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha3

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Names that belong to the inputs of runs.
const (
	// ApprovalsAnnotation is the JSON list of the answers to the inputs of a run, the oldest first.
	ApprovalsAnnotation = slipwayPrefix + "approvals"
	// InputDeadlineAnnotation on a Pipeline, or on a PipelineRun, where it goes first, is how long an input
	// waits for its answer before it is aborted: a duration such as 24h or 90m. An empty value on a run
	// lifts the deadline of its pipeline.
	InputDeadlineAnnotation = slipwayPrefix + "input-deadline"
	// ReasonInputExpired: the build was aborted as nobody had answered an input in time.
	ReasonInputExpired = "InputExpired"
)

const (
	// MaxApprovalComment bounds a comment, in bytes.
	MaxApprovalComment = 2000
	// maxApprovals bounds the annotation, in bytes: all annotations of an object together have 256 KiB.
	maxApprovals = 24 << 10
	// minInputDeadline is the shortest deadline.
	minInputDeadline = time.Second
)

// Decision is how an input was answered.
type Decision string

// The decisions.
const (
	// Proceeded: the build was let go on.
	Proceeded Decision = "proceed"
	// Refused: the build was aborted at the input.
	Refused Decision = "abort"
)

// Approval is an answer to an input: who said what, and when.
//
// +kubebuilder:object:generate=false
type Approval struct {
	// Node and Step are the ids of the stage and of the step that waited.
	Node string `json:"node"`
	// Step is the id of the step.
	Step string `json:"step"`
	// ID is Jenkins' id of the input.
	ID string `json:"id"`
	// Stage is the name of the stage.
	Stage string `json:"stage,omitempty"`
	// By is the user. It is empty for what Slipway did on its own.
	By string `json:"by,omitempty"`
	// At is when.
	At metav1.MicroTime `json:"at"`
	// Decision is proceed or abort.
	Decision Decision `json:"decision"`
	// Comment is what the user said about it, or why Slipway did it.
	Comment string `json:"comment,omitempty"`
	// Expired is true if nobody had answered in time.
	Expired bool `json:"expired,omitempty"`
	// Unconfirmed is true if Jenkins did not answer: whether it took the decision shows in the run.
	Unconfirmed bool `json:"unconfirmed,omitempty"`
}

// same tells if two records are of the same answer.
func (a Approval) same(b Approval) bool {
	return a.Node == b.Node && a.Step == b.Step && a.ID == b.ID && a.By == b.By && a.At.UnixMicro() == b.At.UnixMicro()
}

// Approvals gives the answers to the inputs of a run. What is no list of them counts as none.
func Approvals(run *PipelineRun) []Approval {
	var list []Approval
	if json.Unmarshal([]byte(run.Annotations[ApprovalsAnnotation]), &list) != nil {
		return nil
	}
	return list
}

// PutApproval notes an answer on the run, in the place of an earlier record of the same one. The oldest are
// dropped if there are too many.
func PutApproval(run *PipelineRun, a Approval) error {
	list := slices.DeleteFunc(Approvals(run), a.same)
	return setApprovals(run, append(list, a))
}

// DropApproval takes back what PutApproval noted.
func DropApproval(run *PipelineRun, a Approval) error {
	return setApprovals(run, slices.DeleteFunc(Approvals(run), a.same))
}

func setApprovals(run *PipelineRun, list []Approval) error {
	for {
		if len(list) == 0 {
			delete(run.Annotations, ApprovalsAnnotation)
			return nil
		}
		text, err := json.Marshal(list)
		if err != nil {
			return fmt.Errorf("encode the answers to inputs: %w", err)
		}
		if len(text) > maxApprovals && len(list) > 1 {
			list = list[1:]
			continue
		}
		if run.Annotations == nil {
			run.Annotations = map[string]string{}
		}
		run.Annotations[ApprovalsAnnotation] = string(text)
		return nil
	}
}

// InputDeadline gives how long an input of the run waits; zero: for ever. The pipeline may be nil. A
// deadline that cannot be read is an error, and none.
func InputDeadline(run *PipelineRun, pipeline *Pipeline) (time.Duration, error) {
	text, ok := run.Annotations[InputDeadlineAnnotation]
	if !ok && pipeline != nil {
		text = pipeline.Annotations[InputDeadlineAnnotation]
	}
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < minInputDeadline {
		if len(text) > 40 {
			text = text[:40]
		}
		return 0, fmt.Errorf("the annotation %s is %q, which is no duration such as 24h or 90m", InputDeadlineAnnotation, text)
	}
	return d, nil
}
