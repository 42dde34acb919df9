// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha3

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Names that belong to Pipeline.
const (
	// PipelineKind is the kind of a pipeline.
	PipelineKind = "Pipeline"
	// PipelineResource is the plural name in URLs and RBAC rules.
	PipelineResource = "pipelines"
	// PipelineFinalizer is kept until the Jenkins job is gone.
	PipelineFinalizer = "pipeline.finalizers.kubesphere.io"

	pipelinePrefix = "pipeline.devops.kubesphere.io/"
	// PipelineSpecHashAnnotation is the hash of the spec that Jenkins has.
	PipelineSpecHashAnnotation = pipelinePrefix + "spechash"
	// PipelineSyncStatusAnnotation is pending, successful or failed: is the spec in Jenkins?
	PipelineSyncStatusAnnotation = pipelinePrefix + "syncstatus"
	// PipelineSyncTimeAnnotation is the time of the last change of syncstatus, RFC 3339.
	PipelineSyncTimeAnnotation = pipelinePrefix + "synctime"
	// PipelineSyncMsgAnnotation is the error of a failed synchronization.
	PipelineSyncMsgAnnotation = pipelinePrefix + "syncmsg"
	// PipelineJenkinsMetadataAnnotation is a JSON summary of the Jenkins job.
	PipelineJenkinsMetadataAnnotation = pipelinePrefix + "jenkins-metadata"
	// PipelineJenkinsBranchesAnnotation is a JSON list of the branches of a multi-branch job.
	PipelineJenkinsBranchesAnnotation = pipelinePrefix + "jenkins-branches"
	// PipelineRequestToSyncRunsAnnotation asks to look for runs that were started in Jenkins.
	PipelineRequestToSyncRunsAnnotation = pipelinePrefix + "request-to-sync-pipelineruns"
	// PipelineAdoptedBuildsAnnotation is the JSON mark up to which the builds of the pipeline's jobs
	// have been looked at, so that none is made a run that was deleted.
	PipelineAdoptedBuildsAnnotation = slipwayPrefix + "adopted-builds"
	// PipelineRequestToScanAnnotation asks a multi-branch pipeline to look for branches now, whatever
	// its value. It is removed when Jenkins was asked.
	PipelineRequestToScanAnnotation = slipwayPrefix + "request-to-scan"
	// PipelineJenkinsfileValueAnnotation is the Jenkinsfile in the converter's JSON form.
	PipelineJenkinsfileValueAnnotation = pipelinePrefix + "jenkinsfile"
	// PipelineJenkinsfileEditModeAnnotation is json or raw while an edit is to be converted.
	PipelineJenkinsfileEditModeAnnotation = pipelinePrefix + "jenkinsfile.edit.mode"
	// PipelineJenkinsfileAuthorAnnotation is the JSON note of who edited the Jenkinsfile through the API, for the
	// history of the Jenkinsfile; see package history.
	PipelineJenkinsfileAuthorAnnotation = slipwayPrefix + "jenkinsfile-author"
	// PipelineJenkinsfileRecordedAnnotation is the hash of the Jenkinsfile that the history has last.
	PipelineJenkinsfileRecordedAnnotation = slipwayPrefix + "jenkinsfile-recorded"
	// PipelineJenkinsfileValidateAnnotation is success or failure of the last conversion.
	PipelineJenkinsfileValidateAnnotation = pipelinePrefix + "jenkinsfile.validate"
)

// Values of the annotation syncstatus.
const (
	// SyncStatusPending: the spec is not in Jenkins yet.
	SyncStatusPending = "pending"
	// SyncStatusSuccessful: the spec is in Jenkins.
	SyncStatusSuccessful = "successful"
	// SyncStatusFailed: Jenkins did not take the spec; syncmsg says why.
	SyncStatusFailed = "failed"
)

// PipelineType tells how the Jenkinsfile is found.
// +kubebuilder:validation:Enum=pipeline;multi-branch-pipeline
type PipelineType string

// The pipeline types.
const (
	// NoScmPipelineType has one Jenkinsfile, in the spec or in a repository.
	NoScmPipelineType PipelineType = "pipeline"
	// MultiBranchPipelineType finds a Jenkinsfile in each branch of a repository.
	MultiBranchPipelineType PipelineType = "multi-branch-pipeline"
)

// Pipeline is a Jenkins job.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=pipelines,shortName=pip,categories=slipway
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="Synced",type=string,JSONPath=`.metadata.annotations.pipeline\.devops\.kubesphere\.io/syncstatus`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Pipeline struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// spec is what the user wants.
	// +optional
	Spec PipelineSpec `json:"spec,omitempty"`
	// status is what was last observed.
	// +optional
	Status PipelineStatus `json:"status,omitempty"`
}

// PipelineSpec is the wanted state of a pipeline.
// +kubebuilder:validation:XValidation:rule="self.type != 'pipeline' || has(self.pipeline)",message="a pipeline of type pipeline needs spec.pipeline with its jenkinsfile"
// +kubebuilder:validation:XValidation:rule="self.type != 'multi-branch-pipeline' || has(self.multi_branch_pipeline)",message="a pipeline of type multi-branch-pipeline needs spec.multi_branch_pipeline with its source"
type PipelineSpec struct {
	// type is pipeline or multi-branch-pipeline. Default pipeline.
	// +kubebuilder:default=pipeline
	// +optional
	Type PipelineType `json:"type,omitempty"`
	// pipeline describes a job with its own Jenkinsfile.
	// +optional
	Pipeline *NoScmPipeline `json:"pipeline,omitempty"`
	// multi_branch_pipeline describes a job over the branches of a repository.
	// +optional
	MultiBranchPipeline *MultiBranchPipeline `json:"multi_branch_pipeline,omitempty"`
}

// NoScmPipeline is a job with one Jenkinsfile: its own, or one from a repository.
// +kubebuilder:validation:XValidation:rule="!has(self.source) || !has(self.jenkinsfile) || size(self.jenkinsfile) == 0",message="a pipeline has either jenkinsfile or source, not both"
type NoScmPipeline struct {
	// name is the job's name; metadata.name if empty.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Name string `json:"name,omitempty"`
	// description says in a sentence what the job does.
	// +kubebuilder:validation:MaxLength=8192
	// +optional
	Description string `json:"description,omitempty"`
	// discarder says how long runs and their builds are kept.
	// +optional
	Discarder *DiscarderProperty `json:"discarder,omitempty"`
	// parameters are the job's parameters. If there are none, those of the Jenkinsfile's
	// parameters directive count.
	// +kubebuilder:validation:MaxItems=256
	// +listType=atomic
	// +optional
	Parameters []ParameterDefinition `json:"parameters,omitempty"`
	// disable_concurrent lets one build run at a time.
	// +optional
	DisableConcurrent bool `json:"disable_concurrent,omitempty"`
	// timer_trigger starts builds by the clock.
	// +optional
	TimerTrigger *TimerTrigger `json:"timer_trigger,omitempty"`
	// remote_trigger lets a caller who knows its token start a build.
	// +optional
	RemoteTrigger *RemoteTrigger `json:"remote_trigger,omitempty"`
	// generic_webhook starts builds by a request of any shape.
	// +optional
	GenericWebhook *GenericWebhook `json:"generic_webhook,omitempty"`
	// jenkinsfile is the pipeline's script.
	// +kubebuilder:validation:MaxLength=1048576
	// +optional
	Jenkinsfile string `json:"jenkinsfile,omitempty"`
	// source is the repository that each run takes the Jenkinsfile from, instead of jenkinsfile.
	// Slipway does not read it: which parameters it has is known after its first run.
	// +optional
	Source *JenkinsfileSource `json:"source,omitempty"`
}

// JenkinsfileSource is where the Jenkinsfile of a pipeline is in a git repository.
type JenkinsfileSource struct {
	// url is the address to clone from.
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^((https?|ssh|git)://[^\s]+|[^\s:/@-][^\s:/@]*@[^\s:/]+:[^\s]+)$`
	// +required
	URL string `json:"url"`
	// credential_id names the credential to clone with.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	CredentialID string `json:"credential_id,omitempty"`
	// ref is what is built: a branch such as main, a full name such as refs/tags/v1, or the 40
	// hexadecimal digits of a commit.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:Pattern=`^[^\s~^:?*\[\\-][^\s~^:?*\[\\]*$`
	// +required
	Ref string `json:"ref"`
	// script_path is the Jenkinsfile's path in the repository. Default Jenkinsfile.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	ScriptPath string `json:"script_path,omitempty"`
	// lightweight lets Jenkins read only the Jenkinsfile instead of cloning the repository for it. It has no
	// effect where ref is a commit. Default true.
	// +kubebuilder:default=true
	// +optional
	Lightweight *bool `json:"lightweight,omitempty"`
	// git_clone_option says how checkout scm clones.
	// +optional
	CloneOption *GitCloneOption `json:"git_clone_option,omitempty"`
}

// ParameterDefinition is one parameter of a job.
type ParameterDefinition struct {
	// name is the parameter's name.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +required
	Name string `json:"name"`
	// default_value is taken if a run gives none. For a choice: the choices, one a line, of which
	// the first is the default.
	// +kubebuilder:validation:MaxLength=65536
	// +optional
	DefaultValue string `json:"default_value,omitempty"`
	// type is string, text, boolean, choice, file or password.
	// +kubebuilder:validation:Enum=string;text;boolean;choice;file;password
	// +required
	Type string `json:"type"`
	// description explains the parameter.
	// +kubebuilder:validation:MaxLength=8192
	// +optional
	Description string `json:"description,omitempty"`
	// trim removes white space around the value of a string; other types have no effect of it.
	// +optional
	Trim bool `json:"trim,omitempty"`
}

// DiscarderProperty says how long builds are kept. Both are numbers as text; "" and "-1" mean
// without bound.
type DiscarderProperty struct {
	// days_to_keep is the age in days after which a build is deleted.
	// +kubebuilder:validation:Pattern=`^(-1|[0-9]{1,6})?$`
	// +optional
	DaysToKeep string `json:"days_to_keep,omitempty"`
	// num_to_keep is how many builds are kept.
	// +kubebuilder:validation:Pattern=`^(-1|[0-9]{1,6})?$`
	// +optional
	NumToKeep string `json:"num_to_keep,omitempty"`
}

// TimerTrigger starts builds by the clock.
type TimerTrigger struct {
	// cron is a Jenkins cron line, with H for a time of the job's own.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Cron string `json:"cron,omitempty"`
	// interval in milliseconds, as text: how often a multi-branch job looks at its repository.
	// +kubebuilder:validation:Pattern=`^[0-9]{0,18}$`
	// +optional
	Interval string `json:"interval,omitempty"`
}

// RemoteTrigger lets a caller who knows its token start a build.
type RemoteTrigger struct {
	// token is the shared secret.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	Token string `json:"token,omitempty"`
}

// GenericWebhook is the setting of Jenkins' Generic Webhook Trigger.
type GenericWebhook struct {
	// enable turns the trigger on.
	// +optional
	Enable bool `json:"enable,omitempty"`
	// token is the shared secret that a request names.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	Token string `json:"token,omitempty"`
	// cause is the text of the build's cause.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Cause string `json:"cause,omitempty"`
	// print_variables writes the variables to the build's log.
	// +optional
	PrintVariables bool `json:"print_variables,omitempty"`
	// print_post_content writes the request's body to the build's log.
	// +optional
	PrintPostContent bool `json:"print_post_content,omitempty"`
	// request_variables are variables taken from the query.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	RequestVariables []GenericVariable `json:"request_variables,omitempty"`
	// header_variables are variables taken from headers.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	HeaderVariables []GenericVariable `json:"header_variables,omitempty"`
	// filter_text is matched against filter_expression.
	// +kubebuilder:validation:MaxLength=4096
	// +optional
	FilterText string `json:"filter_text,omitempty"`
	// filter_expression is a regular expression; no build is started where it does not match.
	// +kubebuilder:validation:MaxLength=4096
	// +optional
	FilterExpression string `json:"filter_expression,omitempty"`
}

// GenericVariable is one variable of a generic webhook.
type GenericVariable struct {
	// key is the name of the query field or header.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Key string `json:"key,omitempty"`
	// regexp_filter removes what it matches from the value.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	RegexpFilter string `json:"regexp_filter,omitempty"`
}

// MultiBranchPipeline is a job over the branches of a repository.
type MultiBranchPipeline struct {
	// name is the job's name; metadata.name if empty.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	Name string `json:"name,omitempty"`
	// description says in a sentence what the job does.
	// +kubebuilder:validation:MaxLength=8192
	// +optional
	Description string `json:"description,omitempty"`
	// discarder says how long the runs of each branch, and branches that are gone, are kept.
	// +optional
	Discarder *DiscarderProperty `json:"discarder,omitempty"`
	// timer_trigger says how often the repository is looked at.
	// +optional
	TimerTrigger *TimerTrigger `json:"timer_trigger,omitempty"`
	// source_type says which of the sources below counts.
	// +kubebuilder:validation:Enum=svn;git;single_svn;gitlab;github;bitbucket_server
	// +required
	SourceType string `json:"source_type"`
	// git_source is a plain git repository.
	// +optional
	GitSource *GitSource `json:"git_source,omitempty"`
	// github_source is a repository on GitHub.
	// +optional
	GitHubSource *GitHubSource `json:"github_source,omitempty"`
	// gitlab_source is a repository on GitLab.
	// +optional
	GitlabSource *GitlabSource `json:"gitlab_source,omitempty"`
	// svn_source is a Subversion repository.
	// +optional
	SvnSource *SvnSource `json:"svn_source,omitempty"`
	// single_svn_source is one folder of a Subversion repository.
	// +optional
	SingleSvnSource *SingleSvnSource `json:"single_svn_source,omitempty"`
	// bitbucket_server_source is a repository on Bitbucket Server.
	// +optional
	BitbucketServerSource *BitbucketServerSource `json:"bitbucket_server_source,omitempty"`
	// script_path is the Jenkinsfile's path in the repository. Default Jenkinsfile.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	ScriptPath string `json:"script_path,omitempty"`
	// multibranch_job_trigger names jobs to start when a branch job is made or deleted.
	// +optional
	MultiBranchJobTrigger *MultiBranchJobTrigger `json:"multibranch_job_trigger,omitempty"`
}

// MultiBranchJobTrigger names jobs to start when a branch job is made or deleted.
type MultiBranchJobTrigger struct {
	// create_action_job_to_trigger is the job to start when a branch job is made.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	CreateActionJobsToTrigger string `json:"create_action_job_to_trigger,omitempty"`
	// delete_action_job_to_trigger is the job to start when a branch job is deleted.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	DeleteActionJobsToTrigger string `json:"delete_action_job_to_trigger,omitempty"`
}

// GitCloneOption says how a repository is cloned.
type GitCloneOption struct {
	// shallow fetches no history beyond depth.
	// +optional
	Shallow bool `json:"shallow,omitempty"`
	// timeout in minutes.
	// +optional
	Timeout int `json:"timeout,omitempty"`
	// depth is how many commits a shallow clone has.
	// +optional
	Depth int `json:"depth,omitempty"`
}

// DiscoverPRFromForks says which pull requests from forks are built.
type DiscoverPRFromForks struct {
	// strategy is 1 (merged with the target), 2 (the head) or 3 (both).
	// +optional
	Strategy int `json:"strategy,omitempty"`
	// trust says whose Jenkinsfile is trusted, in the plugin's numbering.
	// +optional
	Trust int `json:"trust,omitempty"`
}

// GitSource is a plain git repository.
type GitSource struct {
	// scm_id identifies the source in Jenkins.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	ScmID string `json:"scm_id,omitempty"`
	// url is the address to clone from.
	// +kubebuilder:validation:MaxLength=2048
	// +optional
	URL string `json:"url,omitempty"`
	// credential_id names the credential to clone with.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	CredentialID string `json:"credential_id,omitempty"`
	// discover_branches makes a job for each branch.
	// +optional
	DiscoverBranches bool `json:"discover_branches,omitempty"`
	// discover_tags makes a job for each tag.
	// +optional
	DiscoverTags bool `json:"discover_tags,omitempty"`
	// git_clone_option says how it is cloned.
	// +optional
	CloneOption *GitCloneOption `json:"git_clone_option,omitempty"`
	// regex_filter leaves out branches that it does not match.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	RegexFilter string `json:"regex_filter,omitempty"`
}

// GitHubSource is a repository on GitHub.
type GitHubSource struct {
	HostedSource `json:",inline"`
}

// BitbucketServerSource is a repository on Bitbucket Server.
type BitbucketServerSource struct {
	HostedSource `json:",inline"`
}

// GitlabSource is a repository on GitLab.
type GitlabSource struct {
	HostedSource `json:",inline"`
	// server_name is the GitLab server's name in Jenkins' configuration.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	ServerName string `json:"server_name,omitempty"`
}

// HostedSource is what the sources on GitHub, GitLab and Bitbucket have in common.
type HostedSource struct {
	// scm_id identifies the source in Jenkins.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	ScmID string `json:"scm_id,omitempty"`
	// owner is the user or organization that the repository belongs to.
	// +kubebuilder:validation:MaxLength=255
	// +optional
	Owner string `json:"owner,omitempty"`
	// repo is the repository's name.
	// +kubebuilder:validation:MaxLength=255
	// +optional
	Repo string `json:"repo,omitempty"`
	// credential_id names the credential to clone with.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	CredentialID string `json:"credential_id,omitempty"`
	// api_uri is the address of the server's API, for self-hosted servers.
	// +kubebuilder:validation:MaxLength=2048
	// +optional
	APIURI string `json:"api_uri,omitempty"`
	// discover_branches is 0 (none), 1 (not those with a pull request), 2 (only those) or 3 (all).
	// +optional
	DiscoverBranches int `json:"discover_branches,omitempty"`
	// discover_pr_from_origin is 0 (none), 1 (merged with the target), 2 (the head) or 3 (both).
	// +optional
	DiscoverPRFromOrigin int `json:"discover_pr_from_origin,omitempty"`
	// discover_pr_from_forks says which pull requests from forks are built.
	// +optional
	DiscoverPRFromForks *DiscoverPRFromForks `json:"discover_pr_from_forks,omitempty"`
	// discover_tags makes a job for each tag.
	// +optional
	DiscoverTags bool `json:"discover_tags,omitempty"`
	// git_clone_option says how it is cloned.
	// +optional
	CloneOption *GitCloneOption `json:"git_clone_option,omitempty"`
	// regex_filter leaves out branches that it does not match.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	RegexFilter string `json:"regex_filter,omitempty"`
	// accept_jenkins_notification lets Jenkins report build results to the server.
	// +optional
	AcceptJenkinsNotification bool `json:"accept_jenkins_notification,omitempty"`
}

// SvnSource is a Subversion repository.
type SvnSource struct {
	// scm_id identifies the source in Jenkins.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	ScmID string `json:"scm_id,omitempty"`
	// remote is the repository's address.
	// +kubebuilder:validation:MaxLength=2048
	// +optional
	Remote string `json:"remote,omitempty"`
	// credential_id names the credential to read with.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	CredentialID string `json:"credential_id,omitempty"`
	// includes are the folders that count, comma separated.
	// +kubebuilder:validation:MaxLength=4096
	// +optional
	Includes string `json:"includes,omitempty"`
	// excludes are the folders left out, comma separated.
	// +kubebuilder:validation:MaxLength=4096
	// +optional
	Excludes string `json:"excludes,omitempty"`
}

// SingleSvnSource is one folder of a Subversion repository.
type SingleSvnSource struct {
	// scm_id identifies the source in Jenkins.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	ScmID string `json:"scm_id,omitempty"`
	// remote is the folder's address.
	// +kubebuilder:validation:MaxLength=2048
	// +optional
	Remote string `json:"remote,omitempty"`
	// credential_id names the credential to read with.
	// +kubebuilder:validation:MaxLength=253
	// +optional
	CredentialID string `json:"credential_id,omitempty"`
}

// PipelineStatus is the observed state of a pipeline.
type PipelineStatus struct {
	// conditions say what works and what is waited for; the type Synced tells if the job is in
	// Jenkins as the spec wants it.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// observedGeneration is the generation of the spec that the status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
}

// Conditions and reasons of a Pipeline and a DevOpsProject.
const (
	// ConditionReady is true when the object can be used.
	ConditionReady = "Ready"
	// ConditionSynced is true when Jenkins has what the spec says.
	ConditionSynced = "Synced"
	// ReasonSynced: Jenkins has it.
	ReasonSynced = "Synced"
	// ReasonProjectMissing: the namespace belongs to no DevOpsProject.
	ReasonProjectMissing = "ProjectMissing"
	// ReasonProjectNotReady: the project has no Jenkins folder yet.
	ReasonProjectNotReady = "ProjectNotReady"
	// ReasonInvalidJenkinsfile: the Jenkinsfile does not parse; the message has line and column.
	ReasonInvalidJenkinsfile = "InvalidJenkinsfile"
	// ReasonInvalidSpec: Jenkins refused the job; the message is its own.
	ReasonInvalidSpec = "InvalidSpec"
	// ReasonJobClassConflict: Jenkins has a job of the pipeline's name that is of another kind. It is
	// left alone.
	ReasonJobClassConflict = "JobClassConflict"
	// ReasonJobNameConflict: Jenkins has a job whose name differs from the pipeline's in upper and
	// lower case only, and cannot tell them apart.
	ReasonJobNameConflict = "JobNameConflict"
	// ReasonJobDisabled: the job was disabled in Jenkins, which starts no build of it.
	ReasonJobDisabled = "JobDisabled"
	// ReasonFolderMissing: the project's folder is not in Jenkins; it is made again.
	ReasonFolderMissing = "FolderMissing"
	// ConditionScanned is true when the last scan of a multi-branch pipeline's repository succeeded.
	ConditionScanned = "Scanned"
	// ReasonScanning: the scan was asked for and has not ended.
	ReasonScanning = "Scanning"
	// ReasonScanFailed: Jenkins could not read the repository; the message is its own.
	ReasonScanFailed = "ScanFailed"
	// ConditionBranchesComplete is false when the annotation jenkins-branches has not all branches or
	// not all of their fields, as there are too many.
	ConditionBranchesComplete = "BranchesComplete"
	// ReasonComplete: nothing is left out.
	ReasonComplete = "Complete"
	// ReasonTooManyBranches: what is left out is said in the message.
	ReasonTooManyBranches = "TooManyBranches"
	// ReasonJenkinsUnavailable: Jenkins does not answer; it is tried again.
	ReasonJenkinsUnavailable = "JenkinsUnavailable"
	// ReasonNamespaceTaken: a namespace of the project's name exists and is not the project's.
	ReasonNamespaceTaken = "NamespaceTaken"
	// ReasonDeleting: the object is being deleted.
	ReasonDeleting = "Deleting"
	// ReasonFailed: an error that the message names; it is tried again.
	ReasonFailed = "Failed"
)

// PipelineList is a list of Pipelines.
//
// +kubebuilder:object:root=true
type PipelineList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the Pipelines.
	Items []Pipeline `json:"items"`
}
