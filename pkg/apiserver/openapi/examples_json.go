// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package openapi

// What a build looks like; several types have these properties.
const (
	exampleStep = `"id":"7","displayName":"Shell Script","displayDescription":"make","type":"STEP","state":"FINISHED","result":"SUCCESS",
		"startTime":"2026-03-01T09:30:05Z","durationInMillis":4120`
	exampleNode = `"id":"5","displayName":"build","type":"STAGE","state":"FINISHED","result":"SUCCESS","startTime":"2026-03-01T09:30:02Z",
		"durationInMillis":9750,"edges":[{"id":"9","type":"STAGE"}]`
	exampleInput = `"id":"Approve","node":"9","step":"10","stage":"publish","message":"Publish it?","ok":"Yes"`
)

// jsonExamples are bodies of types that are no resources, by the names of their definitions.
var jsonExamples = map[string]string{
	// What clients send.
	"check.Cron":                  `{"pipelineName":"cart","cron":"H/15 * * * *"}`,
	"check.Script":                `{"value":"pipeline { agent any\n stages { stage('build') { steps { sh 'make' } } } }"}`,
	"oauth.Review":                `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl"}}`,
	"pipeline.JenkinsfileEdit":    `{"data":"pipeline { agent any\n stages { stage('build') { steps { sh 'make' } } } }"}`,
	"pipeline.JenkinsfileRestore": `{"resourceVersion":"48213"}`,
	"pipelinerun.InputAnswer":     `{"id":"Approve","parameters":[{"name":"TARGET","value":"staging"}],"comment":"tested by hand"}`,
	"pipelinerun.StartRequest":    `{"parameters":[{"name":"REVISION","value":"main"}]}`,
	"template.RenderRequest":      `{"parameters":[{"name":"target","value":"all"}]}`,
	"steptemplate.Values":         `{"target":"all"}`,
	"webhook.Event": `{"type":"run.finalized","dataType":"org.jenkinsci.plugins.workflow.job.WorkflowRun","source":"job/shop/job/cart/","id":"3f0b",
		"time":"2026-03-01T09:35:00.000+0000","data":{"_parentFullName":"shop","_projectName":"cart","id":"7","number":7,"queueId":41,"result":"SUCCESS"}}`,

	// What they get.
	"check.CronResult":           `{"result":"ok","message":"","lastTime":"2026-03-01T09:15:00Z","nextTime":"2026-03-01T09:30:00Z"}`,
	"crumb.Crumb":                `{"_class":"hudson.security.csrf.DefaultCrumbIssuer","crumb":"0f1e2d3c","crumbRequestField":"Jenkins-Crumb"}`,
	"jenkins.ScriptError":        `{"status":"fail","message":"unexpected token: }","line":4,"column":1}`,
	"jenkinsproxy.ServerList":    `{"status":"ok","data":[]}`,
	"nodelabel.Labels":           `{"status":"success","data":["maven","go"]}`,
	"oauth.ReviewResult":         `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","status":{"authenticated":true,"user":{"username":"ann"}}}`,
	"oauth.Token":                `{"access_token":"eyJhbGciOiJIUzI1NiJ9.e30.c2lnbmF0dXJl","token_type":"Bearer","expires_in":7200}`,
	"pipeline.JenkinsfileDiff":   `{"from":"3","to":"4","diff":"--- 3\n+++ 4\n@@ -4 +4 @@\n-      steps { sh 'make' }\n+      steps { sh 'make all' }\n"}`,
	"pipelinerun.PendingInput":   `{` + exampleInput + `,"approvable":true}`,
	"pipelinerun.Stage":          `{` + exampleNode + `,"steps":[{` + exampleStep + `}]}`,
	"pipelinerun.Step":           `{` + exampleStep + `}`,
	"run.Artifact":               `{"id":"1","name":"cart.jar","path":"target/cart.jar","size":18230,"downloadable":true}`,
	"run.Node":                   `{` + exampleNode + `}`,
	"run.NodeDetail":             `{` + exampleNode + `,"steps":[{` + exampleStep + `}]}`,
	"run.Run":                    exampleBuild,
	"run.Step":                   `{` + exampleStep + `}`,
	"run.Verdict":                `{"allow":"true","message":"the input was answered"}`,
	"steptemplate.Rendered":      `{"data":"sh 'make all'"}`,
	"v1alpha3.Approval":          `{"id":"Approve","node":"9","step":"10","stage":"publish","decision":"approved","by":"ann","at":"2026-03-01T09:32:00Z","comment":"tested by hand"}`,
	"jenkins.InputParameter":     `{"name":"TARGET","type":"ChoiceParameterDefinition","choices":["staging","production"]}`,
	"response.Message":           `{"message":"success"}`,
	"pipelinerun.Artifact":       `{"name":"cart.jar","path":"target/cart.jar","size":18230}`,
	"history.Revision":           `{"revision":4,"author":"ann","time":"2026-03-01T09:30:00Z","hash":"5d41402abc4b2a76","bytes":182,"current":true}`,
	"sonarqube.GateResult":       `{"projectStatus":{"status":"OK"}}`,
	"jenkins.Run":                exampleBuild,
	"pipeline.JenkinsfileResult": `{"result":"success"}`,
}

// exampleBuild is a build as Blue Ocean shows it.
const exampleBuild = `{"id":"7","pipeline":"cart","organization":"jenkins","state":"FINISHED","result":"SUCCESS","type":"WorkflowRun",
	"enQueueTime":"2026-03-01T09:30:00Z","startTime":"2026-03-01T09:30:01Z","endTime":"2026-03-01T09:34:41Z","durationInMillis":280000,
	"estimatedDurationInMillis":270000,"causes":[{"shortDescription":"Started by user ann","userId":"ann","userName":"ann"}],
	"runSummary":"stable","replayable":true}`
