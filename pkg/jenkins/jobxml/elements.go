// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jobxml

import "encoding/xml"

const multiBranchClass = "org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject"

// parameterClass maps the types of the API to the classes of Jenkins.
var parameterClass = map[string]string{
	"string":   "hudson.model.StringParameterDefinition",
	"text":     "hudson.model.TextParameterDefinition",
	"boolean":  "hudson.model.BooleanParameterDefinition",
	"choice":   "hudson.model.ChoiceParameterDefinition",
	"password": "hudson.model.PasswordParameterDefinition",
	"file":     "hudson.model.FileParameterDefinition",
}

type flow struct {
	XMLName          xml.Name   `xml:"flow-definition"`
	Plugin           string     `xml:"plugin,attr,omitempty"`
	Comment          string     `xml:",comment"`
	Actions          struct{}   `xml:"actions"`
	Description      text       `xml:"description"`
	KeepDependencies bool       `xml:"keepDependencies"`
	Properties       properties `xml:"properties"`
	Definition       definition `xml:"definition"`
	Triggers         struct{}   `xml:"triggers"`
	AuthToken        text       `xml:"authToken,omitempty"`
	Disabled         bool       `xml:"disabled"`
}

// definition is of one of two classes: one has the script and the sandbox, the other the repository.
type definition struct {
	Class       string  `xml:"class,attr"`
	Plugin      string  `xml:"plugin,attr,omitempty"`
	Script      *text   `xml:"script"`
	Sandbox     *bool   `xml:"sandbox"`
	SCM         *gitSCM `xml:"scm"`
	ScriptPath  *text   `xml:"scriptPath"`
	Lightweight *bool   `xml:"lightweight"`
}

// gitSCM is the checkout of one git repository.
type gitSCM struct {
	Class         string `xml:"class,attr"`
	Plugin        string `xml:"plugin,attr,omitempty"`
	ConfigVersion int    `xml:"configVersion"`
	Remotes       struct {
		List []gitRemote `xml:"hudson.plugins.git.UserRemoteConfig"`
	} `xml:"userRemoteConfigs"`
	Branches struct {
		List []gitBranch `xml:"hudson.plugins.git.BranchSpec"`
	} `xml:"branches"`
	Submodules bool    `xml:"doGenerateSubmoduleConfigurations"`
	Modules    classed `xml:"submoduleCfg"`
	Extensions struct {
		Clone *gitClone `xml:"hudson.plugins.git.extensions.impl.CloneOption"`
	} `xml:"extensions"`
}

type gitRemote struct {
	URL         text  `xml:"url"`
	Credentials *text `xml:"credentialsId"`
}

type gitBranch struct {
	Name text `xml:"name"`
}

// gitClone is a CloneOption where its class is the element's name.
type gitClone struct {
	Shallow      bool     `xml:"shallow"`
	NoTags       bool     `xml:"noTags"`
	Reference    struct{} `xml:"reference"`
	Timeout      int      `xml:"timeout,omitempty"`
	Depth        int      `xml:"depth"`
	HonorRefspec bool     `xml:"honorRefspec"`
}

type properties struct {
	DisableConcurrent *disableConcurrent `xml:"org.jenkinsci.plugins.workflow.job.properties.DisableConcurrentBuildsJobProperty"`
	Discarder         *discarder         `xml:"jenkins.model.BuildDiscarderProperty"`
	Parameters        *parameters        `xml:"hudson.model.ParametersDefinitionProperty"`
	Triggers          *triggers          `xml:"org.jenkinsci.plugins.workflow.job.properties.PipelineTriggersJobProperty"`
}

type disableConcurrent struct {
	AbortPrevious bool `xml:"abortPrevious"`
}

type discarder struct {
	Strategy rotator `xml:"strategy"`
}

type rotator struct {
	Class        string `xml:"class,attr"`
	Days         string `xml:"daysToKeep"`
	Num          string `xml:"numToKeep"`
	ArtifactDays string `xml:"artifactDaysToKeep"`
	ArtifactNum  string `xml:"artifactNumToKeep"`
}

type parameters struct {
	Definitions struct {
		List []parameter `xml:",any"`
	} `xml:"parameterDefinitions"`
}

// parameter is a definition of any class; its class is the element name.
type parameter struct {
	XMLName     xml.Name
	Name        text     `xml:"name"`
	Description text     `xml:"description"`
	Default     *text    `xml:"defaultValue"`
	Trim        string   `xml:"trim,omitempty"`
	Choices     *choices `xml:"choices"`
}

type choices struct {
	Class string      `xml:"class,attr"`
	Array stringArray `xml:"a"`
	// Plain is the form that Jenkins' job page saves; it is only read.
	Plain []text `xml:"string,omitempty"`
}

type stringArray struct {
	Class   string `xml:"class,attr"`
	Strings []text `xml:"string"`
}

type triggers struct {
	List struct {
		Timer   *timer          `xml:"hudson.triggers.TimerTrigger"`
		Webhook *genericTrigger `xml:"org.jenkinsci.plugins.gwt.GenericTrigger"`
	} `xml:"triggers"`
}

type timer struct {
	Spec text `xml:"spec"`
}

type genericTrigger struct {
	Plugin           string   `xml:"plugin,attr,omitempty"`
	Spec             struct{} `xml:"spec"`
	Variables        struct{} `xml:"genericVariables"`
	FilterText       text     `xml:"regexpFilterText"`
	FilterExpression text     `xml:"regexpFilterExpression"`
	Request          struct {
		List []variable `xml:"org.jenkinsci.plugins.gwt.GenericRequestVariable"`
	} `xml:"genericRequestVariables"`
	Header struct {
		List []variable `xml:"org.jenkinsci.plugins.gwt.GenericHeaderVariable"`
	} `xml:"genericHeaderVariables"`
	PrintPostContent bool `xml:"printPostContent"`
	PrintVariables   bool `xml:"printContributedVariables"`
	Cause            text `xml:"causeString"`
	Token            text `xml:"token"`
	SilentResponse   bool `xml:"silentResponse"`
}

type variable struct {
	Key    text `xml:"key"`
	Filter text `xml:"regexpFilter"`
}

type multiBranch struct {
	XMLName     xml.Name        `xml:"org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject"`
	Plugin      string          `xml:"plugin,attr,omitempty"`
	Comment     string          `xml:",comment"`
	Actions     struct{}        `xml:"actions"`
	Description text            `xml:"description"`
	Properties  multiProperties `xml:"properties"`
	Orphans     orphans         `xml:"orphanedItemStrategy"`
	Triggers    struct {
		Periodic *periodic `xml:"com.cloudbees.hudson.plugins.folder.computed.PeriodicFolderTrigger"`
	} `xml:"triggers"`
	Disabled bool    `xml:"disabled"`
	Sources  sources `xml:"sources"`
	Factory  factory `xml:"factory"`
}

type multiProperties struct {
	JobTrigger *jobTrigger `xml:"org.jenkinsci.plugins.workflow.multibranch.PipelineTriggerProperty"`
}

type jobTrigger struct {
	Plugin string `xml:"plugin,attr,omitempty"`
	Create text   `xml:"createActionJobsToTrigger"`
	Delete text   `xml:"deleteActionJobsToTrigger"`
}

type orphans struct {
	Class  string `xml:"class,attr"`
	Plugin string `xml:"plugin,attr,omitempty"`
	Prune  bool   `xml:"pruneDeadBranches"`
	Days   string `xml:"daysToKeep"`
	Num    string `xml:"numToKeep"`
}

type periodic struct {
	Plugin   string `xml:"plugin,attr,omitempty"`
	Spec     string `xml:"spec"`
	Interval int64  `xml:"interval"`
}

type ownerRef struct {
	Class     string `xml:"class,attr"`
	Reference string `xml:"reference,attr"`
}

type classed struct {
	Class string `xml:"class,attr"`
}

type sources struct {
	Class  string   `xml:"class,attr"`
	Plugin string   `xml:"plugin,attr,omitempty"`
	Owner  ownerRef `xml:"owner"`
	Data   struct {
		// Source has one entry; those that people added in Jenkins come after it.
		Source []branchSource `xml:"jenkins.branch.BranchSource"`
	} `xml:"data"`
}

type branchSource struct {
	Strategy strategy  `xml:"strategy"`
	Source   scmSource `xml:"source"`
}

type strategy struct {
	Class      string  `xml:"class,attr"`
	Props      classed `xml:"defaultProperties"`
	Exceptions classed `xml:"namedExceptions"`
}

// scmSource is a source of any class; each class has its own fields.
type scmSource struct {
	Class        string  `xml:"class,attr"`
	Plugin       string  `xml:"plugin,attr,omitempty"`
	ID           text    `xml:"id"`
	Name         *text   `xml:"name"`
	Remote       *text   `xml:"remote"`
	RemoteBase   *text   `xml:"remoteBase"`
	APIURI       *text   `xml:"apiUri"`
	ServerURL    *text   `xml:"serverUrl"`
	ServerName   *text   `xml:"serverName"`
	Credentials  *text   `xml:"credentialsId"`
	RepoOwner    *text   `xml:"repoOwner"`
	Repository   *text   `xml:"repository"`
	ProjectOwner *text   `xml:"projectOwner"`
	ProjectPath  *text   `xml:"projectPath"`
	Includes     *text   `xml:"includes"`
	Excludes     *text   `xml:"excludes"`
	SCM          *svnSCM `xml:"scm"`
	Traits       *traits `xml:"traits"`
}

// traits are what a source does, one element of its own class each.
type traits struct {
	List []trait `xml:",any"`
}

type trait struct {
	XMLName   xml.Name
	Plugin    string       `xml:"plugin,attr,omitempty"`
	Strategy  *int         `xml:"strategyId"`
	Trust     *classed     `xml:"trust"`
	Extension *cloneOption `xml:"extension"`
	Regex     *text        `xml:"regex"`
}

// svnSCM is the one checkout of a single_svn source.
type svnSCM struct {
	Class    string      `xml:"class,attr"`
	Plugin   string      `xml:"plugin,attr,omitempty"`
	Location svnLocation `xml:"locations>hudson.scm.SubversionSCM_-ModuleLocation"`
	Updater  classed     `xml:"workspaceUpdater"`
}

type svnLocation struct {
	Remote          text   `xml:"remote"`
	Credentials     text   `xml:"credentialsId"`
	Local           string `xml:"local"`
	Depth           string `xml:"depthOption"`
	IgnoreExternals bool   `xml:"ignoreExternalsOption"`
	CancelProcess   bool   `xml:"cancelProcessOnExternalsFail"`
}

type cloneOption struct {
	Class        string   `xml:"class,attr"`
	Shallow      bool     `xml:"shallow"`
	NoTags       bool     `xml:"noTags"`
	Reference    struct{} `xml:"reference"`
	Timeout      int      `xml:"timeout,omitempty"`
	Depth        int      `xml:"depth"`
	HonorRefspec bool     `xml:"honorRefspec"`
}

type factory struct {
	Class      string   `xml:"class,attr"`
	Owner      ownerRef `xml:"owner"`
	ScriptPath text     `xml:"scriptPath"`
}
