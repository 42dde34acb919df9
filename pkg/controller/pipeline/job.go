// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"

	"k8s.io/apimachinery/pkg/api/meta"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins/jobxml"
)

// JobName gives the name of a pipeline's job within the folder of its namespace.
func JobName(p *devopsv1alpha3.Pipeline) string { return p.Name }

// StartToken gives the token that starts a pipeline's job: the user's own one if the spec has one,
// else one that only who has the key can derive.
func StartToken(key []byte, p *devopsv1alpha3.Pipeline) string {
	return jobxml.Options{AuthToken: deriveToken(key, p)}.Token(&p.Spec)
}

func deriveToken(key []byte, p *devopsv1alpha3.Pipeline) string {
	mac := hmac.New(sha256.New, key)
	// The prefix keeps the key usable for other purposes.
	mac.Write([]byte("slipway start token\x00" + string(p.UID)))
	return hex.EncodeToString(mac.Sum(nil))
}

// analysisOf reads the Jenkinsfile of a pipeline. Of one in a repository nothing is known, and a run of it may write
// whatever it likes into its own job.
func analysisOf(spec *devopsv1alpha3.NoScmPipeline, analyze Analyzer) Analysis {
	if spec.Source != nil {
		return Analysis{Runs: jobxml.Runs{SetParameters: true, SetTriggers: true, SetOptions: true}}
	}
	return analyze(spec.Jenkinsfile)
}

// Parameters gives the parameters of a pipeline's job. Complete is false if it may have others:
// those of a scripted pipeline, or of a Jenkinsfile in a repository, are known to Jenkins alone.
func Parameters(spec *devopsv1alpha3.PipelineSpec, analyze Analyzer) (defined []devopsv1alpha3.ParameterDefinition, complete bool) {
	if spec.Pipeline == nil {
		return nil, false
	}
	found := analysisOf(spec.Pipeline, analyze)
	if len(spec.Pipeline.Parameters) > 0 {
		// A run of a Jenkinsfile with parameters of its own replaces those of the job.
		return spec.Pipeline.Parameters, found.Complete && len(found.Parameters) == 0
	}
	return found.Parameters, found.Complete
}

// InJenkins tells if Jenkins has the pipeline's current spec, and else why not. A Jenkinsfile that
// Slipway cannot parse is in Jenkins all the same.
func InJenkins(p *devopsv1alpha3.Pipeline) (bool, string) {
	condition := meta.FindStatusCondition(p.Status.Conditions, devopsv1alpha3.ConditionSynced)
	switch {
	case condition == nil || condition.ObservedGeneration != p.Generation:
		return false, "the pipeline is being brought to Jenkins"
	case settled(condition.Reason), condition.Reason == devopsv1alpha3.ReasonJobDisabled:
		// Whether a disabled job was enabled again, the start itself tells soonest.
		return true, ""
	}
	return false, "the pipeline is not in Jenkins: " + condition.Message
}
