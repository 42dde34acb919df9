// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// DefaultCloud is the name of Jenkins' Kubernetes cloud if nothing else is configured.
const DefaultCloud = "kubernetes"

// PodRetention says when Jenkins deletes an agent pod.
type PodRetention string

// Values of PodRetention. Jenkins' "on failure" is left out, as it looks at the pod and not at the build.
const (
	// RetentionDefault is what the cloud says, which normally is to delete the pod at once.
	RetentionDefault PodRetention = "Default"
	// RetentionNever deletes the pod when the build ends.
	RetentionNever PodRetention = "Never"
	// RetentionAlways keeps the pod; somebody else must delete it.
	RetentionAlways PodRetention = "Always"
)

// Template is a pod template of Jenkins' Kubernetes cloud.
type Template struct {
	// ID is the identity of the template in its cloud, and its name. It must not change and fits into a path segment.
	ID string
	// Labels are the agent labels, none with a space.
	Labels []string
	// YAML is one whole pod document; JSON is YAML, too. Jenkins does not check it: dry-run the pod first.
	YAML string
	// AgentContainer is the container of the pod that runs the agent.
	AgentContainer string
	// AgentInjection lets Jenkins add its agent to that container, which then needs Java.
	AgentInjection bool
	// IdleMinutes is how long an agent waits for another build. 0: it serves one build.
	IdleMinutes int
	// ConnectTimeoutSeconds is how long Jenkins waits for the agent. 0: 180.
	ConnectTimeoutSeconds int
	// InstanceCap is the most pods of this template. 0: 10.
	InstanceCap int
	// Retention says when the pod is deleted. Empty: RetentionDefault.
	Retention PodRetention
}

// templateForm is the form of a template, in the Kubernetes plugin's names.
type templateForm struct {
	ID             string            `json:"id"`
	Name           string            `json:"name"`
	Label          string            `json:"label"`
	NodeUsageMode  string            `json:"nodeUsageMode"`
	YAML           string            `json:"yaml"`
	IdleMinutes    string            `json:"idleMinutesStr"`
	ConnectTimeout string            `json:"slaveConnectTimeoutStr"`
	InstanceCap    string            `json:"instanceCapStr"`
	ShowRawYAML    bool              `json:"showRawYaml"`
	PodRetention   map[string]string `json:"podRetention"`
	AgentContainer string            `json:"agentContainer"`
	AgentInjection bool              `json:"agentInjection"`
}

func (t Template) form(op string) (url.Values, error) {
	if t.ID == "" || len(t.Labels) == 0 || strings.TrimSpace(t.YAML) == "" {
		return nil, newError(op, ErrInvalid, "a template needs an id, a label and a pod")
	}
	for _, l := range t.Labels {
		if l == "" || strings.ContainsAny(l, " \t\r\n\"'") {
			return nil, newError(op, ErrInvalid, "the label %q is empty or has a space or a quote", l)
		}
	}
	orDefault := func(v, def int) string {
		if v <= 0 {
			v = def
		}
		return strconv.Itoa(v)
	}
	retention := t.Retention
	if retention == "" {
		retention = RetentionDefault
	}
	doc, err := marshalJSON(templateForm{
		ID: t.ID, Name: t.ID, Label: strings.Join(t.Labels, " "), NodeUsageMode: "EXCLUSIVE", YAML: t.YAML,
		IdleMinutes: strconv.Itoa(max(0, t.IdleMinutes)), ConnectTimeout: orDefault(t.ConnectTimeoutSeconds, 180),
		InstanceCap:    orDefault(t.InstanceCap, 10),
		PodRetention:   map[string]string{"$class": "org.csanchez.jenkins.plugins.kubernetes.pod.retention." + string(retention)},
		AgentContainer: t.AgentContainer, AgentInjection: t.AgentInjection,
	})
	if err != nil {
		return nil, &Error{Op: op, kind: ErrInvalid, cause: err, Message: err.Error()}
	}
	return url.Values{"json": {string(doc)}}, nil
}

func cloudPath(op, cloud string) (string, error) {
	parts, err := segments(op, "cloud", cloud)
	if err != nil {
		return "", err
	}
	return "/manage/cloud/" + url.PathEscape(strings.Join(parts, "/")), nil
}

func templatePath(op, cloud, id string) (string, error) {
	p, err := cloudPath(op, cloud)
	if err != nil {
		return "", err
	}
	parts, err := segments(op, "template", id)
	if err != nil {
		return "", err
	}
	return p + "/template/" + url.PathEscape(strings.Join(parts, "/")), nil
}

// EnsureTemplate replaces the template of that id in the cloud, or adds it. Running builds are not disturbed. ErrNotFound means
// that there is no such cloud.
//
// Adding is not idempotent in Jenkins: two calls at the same time for the same new id may leave two templates. DeleteTemplate
// removes them all.
func (c *Client) EnsureTemplate(ctx context.Context, cloud string, t Template) error {
	const op = "write agent template"
	form, err := t.form(op)
	if err != nil {
		return err
	}
	p, err := templatePath(op, cloud, t.ID)
	if err != nil {
		return err
	}
	_, err = c.postForm(ctx, op, p+"/configSubmit", form)
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	base, err := cloudPath(op, cloud)
	if err != nil {
		return err
	}
	_, err = c.postForm(ctx, op, base+"/create", form)
	if errors.Is(err, ErrNotFound) {
		return &Error{Op: op, Status: http.StatusNotFound, kind: ErrNotFound, Message: "Jenkins has no cloud of the name " + strconv.Quote(cloud)}
	}
	return err
}

// maxDuplicates bounds how many templates of one id DeleteTemplate removes.
const maxDuplicates = 16

// DeleteTemplate removes the template, and all others of the same id. That there is none is a success.
func (c *Client) DeleteTemplate(ctx context.Context, cloud, id string) error {
	const op = "delete agent template"
	p, err := templatePath(op, cloud, id)
	if err != nil {
		return err
	}
	for range maxDuplicates {
		_, err = c.do(ctx, call{op: op, method: http.MethodPost, path: p + "/doDelete"})
		if err != nil {
			return ignoreNotFound(err)
		}
	}
	return newError(op, ErrConflict, "the template %q is still there after %d deletions", id, maxDuplicates)
}

// LabelExists reports whether a cloud or a node serves the label. Jenkins answers for every label, also for unknown ones.
func (c *Client) LabelExists(ctx context.Context, label string) (bool, error) {
	const op = "look up agent label"
	if label == "" || label == "." || label == ".." {
		return false, newError(op, ErrInvalid, "the label %q cannot be looked up", label)
	}
	var out struct {
		// Only the number of entries counts: the entries themselves may be empty objects.
		Clouds []struct{} `json:"clouds"`
		Nodes  []struct{} `json:"nodes"`
	}
	query := url.Values{"tree": {"clouds[name],nodes[nodeName]"}}
	if err := c.getJSON(ctx, op, "/label/"+url.PathEscape(label)+"/api/json", query, &out); err != nil {
		return false, err
	}
	return len(out.Clouds) > 0 || len(out.Nodes) > 0, nil
}
