// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-dev/slipway/pkg/minijenkins/kube"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// defaultCloud exists without being made.
const defaultCloud = "kubernetes"

// cloudRoutes serves /manage/cloud and /cloud: the form endpoints of the Kubernetes cloud.
func (s *Server) cloudRoutes(c *call) {
	if len(c.segs) > 0 && c.segs[0] == "configuration-as-code" {
		c.next()
		s.cascRoutes(c, "/manage")
		return
	}
	if len(c.segs) > 0 && c.segs[0] == "cloud" {
		c.next()
	}
	if len(c.segs) == 1 && c.segs[0] == "doCreate" {
		if c.post() && c.form() {
			s.createCloud(c)
		}
		return
	}
	cloud := c.next()
	s.mu.RLock()
	known := s.clouds[cloud] != nil || cloud == defaultCloud
	s.mu.RUnlock()
	switch {
	case !known || cloud == "":
		fail404(c.w)
	case c.rest() == "" || c.rest() == "templates":
		visit(c, cloud, "")
	case c.rest() == "create":
		if c.post() && c.form() {
			s.createTemplate(c, cloud)
		}
	case len(c.segs) >= 2 && c.segs[0] == "template":
		s.template(c, cloud, c.segs[1], strings.Join(c.segs[2:], "/"))
	default:
		fail404(c.w)
	}
}

// cloudNames are the names of the clouds.
func (s *Server) cloudNames() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return append(slices.Collect(maps.Keys(s.clouds)), defaultCloud)
}

// cloudFields are what is kept of a cloud: nothing secret.
var cloudFields = []string{"serverUrl", "namespace", "jenkinsUrl", "containerCapStr"}

func (s *Server) createCloud(c *call) {
	var f map[string]any
	if err := json.Unmarshal([]byte(c.r.Form.Get("json")), &f); err != nil {
		fail500(c.w, c.r, "json cannot be read")
		return
	}
	name, _ := f["name"].(string)
	if err := checkName(name); err != nil {
		failForm(c.w, err.Error())
		return
	}
	keep := map[string]any{}
	for _, k := range cloudFields {
		if v, ok := f[k]; ok {
			keep[k] = v
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	cloud := &store.Cloud{Name: name, Form: keep}
	if err := s.store.PutCloud(cloud); err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	s.clouds[name] = cloud
	redirect(c.w, "/manage/cloud/")
}

// flexInt is a number that forms send as text or as a number.
type flexInt int

func (n *flexInt) UnmarshalJSON(data []byte) error {
	v, err := strconv.Atoi(strings.Trim(string(data), `" `))
	if err == nil {
		*n = flexInt(v)
	}
	return nil
}

var errTemplate = errors.New("bad template")

// parseTemplate reads the field json of the template form.
func parseTemplate(cloud, data string) (*store.Template, error) {
	var f struct {
		ID             string  `json:"id"`
		Name           string  `json:"name"`
		Label          string  `json:"label"`
		YAML           string  `json:"yaml"`
		AgentContainer string  `json:"agentContainer"`
		InstanceCap    flexInt `json:"instanceCapStr"`
	}
	if err := json.Unmarshal([]byte(data), &f); err != nil {
		return nil, errors.Join(errTemplate, err)
	}
	if f.ID == "" {
		f.ID = f.Name
	}
	if f.ID == "" {
		return nil, errTemplate
	}
	return &store.Template{Cloud: cloud, ID: f.ID, Name: f.Name, Label: f.Label, YAML: f.YAML,
		AgentContainer: f.AgentContainer, InstanceCap: int(f.InstanceCap)}, nil
}

// createTemplate adds a template. As in Jenkins, a second one of the same ID may be made.
func (s *Server) createTemplate(c *call, cloud string) {
	t, err := parseTemplate(cloud, c.r.Form.Get("json"))
	if err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.store.AddTemplate(t); err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	s.templates = append(slices.Clone(s.templates), t)
	redirect(c.w, "/manage/cloud/"+encodeSegment(cloud)+"/templates")
}

// template serves template/ID/….
func (s *Server) template(c *call, cloud, id, action string) {
	find := func() int {
		return slices.IndexFunc(s.templates, func(t *store.Template) bool { return t.Cloud == cloud && t.ID == id })
	}
	s.mu.RLock()
	known := find() >= 0
	s.mu.RUnlock()
	switch {
	case !known || action != "" && action != "configSubmit" && action != "doDelete":
		fail404(c.w)
		return
	case action == "":
		visit(c, id, "")
		return
	case !c.post() || !c.form(): // a body may come slowly
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := find()
	if i < 0 {
		fail404(c.w) // it was deleted meanwhile
		return
	}
	list := slices.Clone(s.templates)
	var err error
	if action == "doDelete" {
		err = s.store.DeleteTemplate(list[i].Seq)
		list = slices.Delete(list, i, i+1)
	} else {
		var t *store.Template
		if t, err = parseTemplate(cloud, c.r.Form.Get("json")); err == nil {
			t.Seq = list[i].Seq
			err = s.store.PutTemplate(t)
			list[i] = t
		}
	}
	if err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	s.templates = list
	redirect(c.w, "/manage/cloud/"+encodeSegment(cloud)+"/templates")
}

// label serves /label/EXPRESSION/api/json: always 200, clouds tells if some template has it.
func (s *Server) label(c *call) {
	name := c.next()
	expr, err := kube.ParseLabel(name)
	if err == nil && name != "" && len(c.segs) > 0 && c.segs[0] == "loadStatistics" {
		c.next()
		s.loadStatistics(c, "hudson.model.Label$1")
		return
	}
	if name == "" || err != nil || !c.isAPI() {
		fail404(c.w)
		return
	}
	agents := slices.DeleteFunc(s.agents.Agents(), func(a kube.AgentInfo) bool { return !expr.Match(a.Labels) })
	clouds, nodes := []*object{}, []*object{}
	seen := map[string]bool{}
	for _, t := range s.templateList() {
		if !seen[t.Cloud] && expr.Match(strings.Fields(t.Label)) {
			seen[t.Cloud] = true
			clouds = append(clouds, bean(classCloud))
		}
	}
	for _, a := range agents {
		nodes = append(nodes, bean("org.csanchez.jenkins.plugins.kubernetes.KubernetesSlave").vis(2, "nodeName", a.Name))
	}
	builtIn := name == "built-in"
	if builtIn {
		nodes = append(nodes, bean("hudson.model.Hudson").vis(2, "nodeName", ""))
	}
	class := "hudson.model.labels.LabelAtom"
	var description any
	if !expr.IsAtom() {
		class = "hudson.model.labels.LabelExpression$And"
		if len(clouds) > 0 {
			description = "Provisioned from " + defaultCloud
		}
	}
	o := bean(class).set("actions", []*object{bean("")}).set("busyExecutors", len(agents)).set("clouds", clouds).
		set("description", description).set("idleExecutors", 0).
		set("loadStatistics", bean("hudson.model.Label$1")).vis(2, "name", name).set("nodes", nodes).
		set("offline", len(agents) == 0 && !builtIn).set("tiedJobs", []*object{}).set("totalExecutors", len(agents))
	if expr.IsAtom() {
		o.set("propertiesList", []*object{})
	}
	show(c.w, c.r, o)
}

// computers serves /computer: the built-in node, which only has the builds themselves, and the agents that live.
func (s *Server) computers(c *call) {
	agents := s.agents.Agents()
	base := s.baseURL(c.r)
	s.mu.RLock()
	builds := s.flyweights(base)
	s.mu.RUnlock()
	list := []*object{computerBean("hudson.model.Hudson$MasterComputer", kube.AgentInfo{
		Name: builtInNode, Labels: []string{"built-in"}, Online: true}, "the Jenkins controller's built-in node").set("oneOffExecutors", builds)}
	for _, a := range agents {
		list = append(list, computerBean("org.csanchez.jenkins.plugins.kubernetes.KubernetesComputer", a, "").set("oneOffExecutors", []*object{}))
	}
	if c.isAPI() {
		show(c.w, c.r, bean("hudson.model.ComputerSet").set("busyExecutors", len(agents)).
			inLazy(1, "computer", func() any { return list }).
			set("displayName", "Nodes").set("totalExecutors", len(agents)))
		return
	}
	if len(c.segs) == 1 && (c.segs[0] == "doCreateItem" || c.segs[0] == "createItem") {
		s.nodeAction(c, false)
		return
	}
	name := c.next()
	i := slices.IndexFunc(agents, func(a kube.AgentInfo) bool { return a.Name == name }) + 1
	// Clients take the display name of the built-in node for its address, which Jenkins does not know.
	known := i > 0 || name == "(built-in)" || name == "(master)" || name == builtInNode
	if !known || !c.isAPI() {
		s.nodeAction(c, known)
		return
	}
	show(c.w, c.r, list[i])
}

const builtInNode = "Built-In Node"

// flyweights are the executors on which the builds themselves run. s.mu is held.
func (s *Server) flyweights(base string) []*object {
	out := []*object{}
	for _, r := range s.runs {
		url := buildURL(base, r.job, r.key.Number)
		out = append(out, bean("").vis(2, "currentExecutable", bean(classRun).vis(2, "number", r.key.Number).vis(2, "url", url)).
			vis(2, "idle", false).vis(2, "likelyStuck", false).vis(2, "number", -1).vis(2, "progress", -1))
	}
	slices.SortFunc(out, func(a, b *object) int {
		return strings.Compare(fmt.Sprint(a.fields[0].val.(*object).fields[1].val), fmt.Sprint(b.fields[0].val.(*object).fields[1].val))
	})
	return out
}

// computerBean is a computer without its executors of builds themselves.
func computerBean(class string, a kube.AgentInfo, description string) *object {
	labels, executors := []*object{}, []*object{}
	for _, l := range a.Labels {
		labels = append(labels, bean("").vis(2, "name", l))
	}
	builtIn := description != ""
	n := 0
	if !builtIn {
		n = 1
		executors = append(executors, bean("").vis(2, "currentExecutable", bean(classPlaceholder+"$PlaceholderExecutable")).
			vis(2, "idle", false).vis(2, "likelyStuck", false).vis(2, "number", 0).vis(2, "progress", -1))
	}
	var cause any
	reason := ""
	if !a.Online {
		reason = a.Reason
		cause = bean("hudson.slaves.OfflineCause$LaunchFailed")
	}
	return bean(class).set("actions", []*object{bean("")}).set("assignedLabels", labels).set("description", description).
		set("displayName", a.Name).set("executors", executors).set("icon", "symbol-computer").
		set("iconClassName", "symbol-computer").set("idle", builtIn || !a.Online).set("jnlpAgent", false).
		set("launchSupported", true).set("loadStatistics", bean("hudson.model.Label$1")).set("manualLaunchAllowed", true).
		set("monitorData", bean("")).set("numExecutors", n).set("offline", !a.Online).set("offlineCause", cause).
		set("offlineCauseReason", reason).set("temporarilyOffline", false)
}
