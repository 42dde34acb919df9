// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

// What can be done instead of steps that the engine refuses.
const (
	insteadCommand   = "run a command of the same purpose with sh"
	insteadMail      = "send it with a command in sh, such as curl to an SMTP or chat service"
	insteadImage     = "put the tool into the image of the agent"
	insteadImageTool = "build the image with a tool that needs no Docker daemon, such as buildah or kaniko, in sh"
	insteadUnix      = "use sh: agents run Linux"
	insteadReport    = "use junit, archiveArtifacts or publishHTML"
	insteadHTTP      = "use curl in sh"
	insteadAgent     = "use an agent with the label of a pod template"
)

// refusedSteps are steps of Jenkins and of plugins that many have, with what can be done instead. Every other name that is not in stepDefs is
// refused just the same.
var refusedSteps = byName(map[string][]string{
	insteadMail: {"emailext", "emailextrecipients", "mail", "slackSend", "slackUploadFile", "slackUserIdFromEmail", "office365ConnectorSend", "mattermostSend",
		"rocketSend", "hipchatSend", "telegramSend", "discordSend", "googlechatnotification", "dingtalk", "dingTalk", "zulipSend", "teamsSend"},
	insteadUnix:  {"bat", "powershell", "pwsh"},
	insteadHTTP:  {"httpRequest", "triggerRemoteJob"},
	insteadImage: {"tool", "envVarsForTool", "withMaven", "withAnt", "withGradle", "nodejs", "withNPM", "withPythonEnv", "withGo", "jdk", "withSbt", "rvm", "nvm", "withDotNet", "dotnetBuild", "dotnetTest", "ansiblePlaybook", "ansibleVault"},
	insteadImageTool: {"docker", "withDockerContainer", "withDockerRegistry", "withDockerServer", "dockerFingerprintFrom", "dockerFingerprintRun", "dockerNode", "withRegistry",
		"withDockerSandbox"},
	insteadReport: {"recordIssues", "scanForIssues", "publishIssues", "recordCoverage", "publishCoverage", "jacoco", "cobertura", "clover", "xunit", "nunit", "mstest",
		"robot", "cucumber", "allure", "perfReport", "plot", "testNG", "dependencyCheck", "dependencyCheckPublisher", "checkStyle", "findbugs", "pmd", "tasks", "warnings", "spotBugs", "gatlingArchive", "publishGatling", "publishChecks", "withChecks", "addBadge",
		"addShortText", "addInfoBadge", "addWarningBadge", "createSummary", "removeBadges", "embeddableBuildStatus"},
	insteadCommand: {"sshagent", "sshPublisher", "sshCommand", "sshScript", "sshPut", "sshGet", "sshRemove", "ftpPublisher", "s3Upload", "s3Download", "s3Delete", "withAWS", "awsIdentity",
		"ecrLogin", "cfnUpdate", "azureUpload", "azureCLI", "googleStorageUpload", "googleStorageBuildLogUpload", "rtUpload", "rtDownload", "rtServer", "rtMavenRun", "rtPublishBuildInfo", "nexusArtifactUploader", "nexusPublisher",
		"nexusPolicyEvaluation", "kubernetesDeploy", "withKubeConfig", "withKubeCredentials", "kubeconfig", "openshift", "openshiftBuild", "helm", "withVault", "vault", "configFileProvider", "configFile", "withSonarQubeEnv",
		"waitForQualityGate", "snykSecurity", "zap", "jiraComment", "jiraSendBuildInfo", "jiraSendDeploymentInfo", "jiraNewIssue", "jiraIssueSelector", "githubNotify", "setGitHubPullRequestStatus", "githubPRComment", "gitStatus",
		"updateGitlabCommitStatus", "gitlabCommitStatus", "gitlabBuilds", "addGitLabMRComment", "acceptGitLabMR", "bitbucketStatusNotify", "notifyBitbucket", "pullRequest", "gitUsernamePassword", "gitPush", "svn", "hg", "tfs",
		"readMavenPom", "writeMavenPom", "readCSV", "writeCSV", "readManifest", "copyArtifacts", "unarchive", "validateDeclarativePipeline", "terraform", "cpack", "ctest", "cmakeBuild", "xcodeBuild", "androidBuild", "fastlane"},
	insteadYAML:  {"emptyDirVolume"},
	insteadAgent: {"containerLog", "persistentVolumeClaim", "hostPathVolume", "secretVolume", "configMapVolume"},
	"":           {"resolveScm", "readTrusted", "evaluate", "withContext", "getContext", "wrap", "bitbucketServerCheckout", "throttle", "properties", "buildDescription", "buildName", "updateBuildName", "sidebarLinks", "semaphore", "externalLibrary", "load", "node"},
})

// stepNotes say what a supported step does not do.
var stepNotes = map[string]string{
	"findFiles":   "size and time of the files are not known",
	"junit":       "checks of code hosts are not published",
	"publishHTML": "the report is kept as artifacts",
	"podTemplate": "what the pod may have is bounded; no volumes but in its yaml",
	"container":   "the container needs a shell for sh, and no other one can be named",
	"ansiColor":   "colours pass through as they are",
	"fingerprint": "the files must exist; nothing is recorded",
}

// byName turns a list of names for each advice into the advice of each name.
func byName(by map[string][]string) map[string]string {
	out := map[string]string{}
	for instead, names := range by {
		for _, name := range names {
			out[name] = instead
		}
	}
	return out
}
