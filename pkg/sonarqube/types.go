// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package sonarqube

// The types have the fields that people look at, under the names of SonarQube's web API. Times are
// SonarQube's text (2026-11-21T01:03:21+0000).

// TaskResult is the answer of api/ce/task.
type TaskResult struct {
	Task Task `json:"task"`
}

// Task is the processing of one report of a scanner.
type Task struct {
	ID string `json:"id"`
	// Type is REPORT for what a scanner sent.
	Type string `json:"type,omitempty"`
	// ComponentKey is the key of the project.
	ComponentKey  string `json:"componentKey,omitempty"`
	ComponentName string `json:"componentName,omitempty"`
	// AnalysisID is set when the report was processed.
	AnalysisID string `json:"analysisId,omitempty"`
	// Status is PENDING, IN_PROGRESS, SUCCESS, FAILED or CANCELED.
	Status      string `json:"status,omitempty"`
	SubmittedAt string `json:"submittedAt,omitempty"`
	StartedAt   string `json:"startedAt,omitempty"`
	ExecutedAt  string `json:"executedAt,omitempty"`
	// ExecutionTimeMs is in milliseconds.
	ExecutionTimeMs int64 `json:"executionTimeMs,omitempty"`
	// Branch and PullRequest are those that were scanned; both are empty for the main branch.
	Branch       string `json:"branch,omitempty"`
	PullRequest  string `json:"pullRequest,omitempty"`
	ErrorMessage string `json:"errorMessage,omitempty"`
}

// MeasuresResult is the answer of api/measures/component.
type MeasuresResult struct {
	Component Component `json:"component"`
	Metrics   []Metric  `json:"metrics,omitempty"`
}

// Component is a project, directory or file.
type Component struct {
	Key       string `json:"key"`
	Name      string `json:"name,omitempty"`
	LongName  string `json:"longName,omitempty"`
	Path      string `json:"path,omitempty"`
	Qualifier string `json:"qualifier,omitempty"`
	// Measures are those of the component; only a project has them here.
	Measures []Measure `json:"measures,omitempty"`
}

// Measure is the value of a metric.
type Measure struct {
	Metric string `json:"metric"`
	// Value is a number or JSON as text; for metrics of new code it is in Period.
	Value     string  `json:"value,omitempty"`
	Period    *Period `json:"period,omitempty"`
	BestValue *bool   `json:"bestValue,omitempty"`
}

// Period is the value of a metric over new code.
type Period struct {
	Index     int    `json:"index,omitempty"`
	Value     string `json:"value"`
	BestValue *bool  `json:"bestValue,omitempty"`
}

// Metric says what a metric means.
type Metric struct {
	Key         string `json:"key"`
	Name        string `json:"name,omitempty"`
	Description string `json:"description,omitempty"`
	Domain      string `json:"domain,omitempty"`
	Type        string `json:"type,omitempty"`
}

// IssuesResult is the answer of api/issues/search.
type IssuesResult struct {
	// Total is how many open issues there are; Issues has the first of them.
	Total      int         `json:"total"`
	Paging     *Paging     `json:"paging,omitempty"`
	Issues     []Issue     `json:"issues"`
	Components []Component `json:"components,omitempty"`
	// Facets count the issues by severity and by type.
	Facets []Facet `json:"facets,omitempty"`
}

// Paging is the part of a list that was given.
type Paging struct {
	PageIndex int `json:"pageIndex"`
	PageSize  int `json:"pageSize"`
	Total     int `json:"total"`
}

// Issue is a finding.
type Issue struct {
	Key       string     `json:"key"`
	Rule      string     `json:"rule,omitempty"`
	Severity  string     `json:"severity,omitempty"`
	Component string     `json:"component,omitempty"`
	Project   string     `json:"project,omitempty"`
	Line      int        `json:"line,omitempty"`
	TextRange *TextRange `json:"textRange,omitempty"`
	Status    string     `json:"status,omitempty"`
	Message   string     `json:"message,omitempty"`
	// Effort is SonarQube's estimate of the work, such as 5min.
	Effort       string   `json:"effort,omitempty"`
	Debt         string   `json:"debt,omitempty"`
	Author       string   `json:"author,omitempty"`
	Tags         []string `json:"tags,omitempty"`
	CreationDate string   `json:"creationDate,omitempty"`
	UpdateDate   string   `json:"updateDate,omitempty"`
	Type         string   `json:"type,omitempty"`
}

// TextRange is a place in a file; lines begin at 1, offsets at 0.
type TextRange struct {
	StartLine   int `json:"startLine"`
	EndLine     int `json:"endLine"`
	StartOffset int `json:"startOffset"`
	EndOffset   int `json:"endOffset"`
}

// Facet counts issues by a property.
type Facet struct {
	Property string       `json:"property"`
	Values   []FacetValue `json:"values"`
}

// FacetValue is how many issues have a value.
type FacetValue struct {
	Val   string `json:"val"`
	Count int    `json:"count"`
}

// GateResult is the answer of api/qualitygates/project_status.
type GateResult struct {
	ProjectStatus Gate `json:"projectStatus"`
}

// Gate tells if an analysis passed its quality gate.
type Gate struct {
	// Status is OK, WARN, ERROR or NONE.
	Status     string          `json:"status"`
	Conditions []GateCondition `json:"conditions,omitempty"`
}

// GateCondition is one condition of a quality gate.
type GateCondition struct {
	Status         string `json:"status"`
	MetricKey      string `json:"metricKey"`
	Comparator     string `json:"comparator,omitempty"`
	ErrorThreshold string `json:"errorThreshold,omitempty"`
	ActualValue    string `json:"actualValue,omitempty"`
}
