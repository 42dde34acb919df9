// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"k8s.io/klog/v2"
	"sigs.k8s.io/yaml"

	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// A subset of the plugin configuration-as-code: the clouds with their pod templates and the system message. What else Jenkins knows is
// checked by name and otherwise left alone; the log tells what.

// cascDoc is a configuration: what the YAML says, by root element.
type cascDoc map[string]any

// errCasC says what is wrong with a configuration, in Jenkins' words. Where is the element, Attribute the name that it does not have.
type errCasC struct {
	message, where, attribute string
	valid                     []string
}

func (e *errCasC) Error() string { return e.message }

var errCasCConflict = errors.New("the configuration says otherwise already")

// The attributes that Jenkins has, by the class of the element.
var (
	cascRoots = []string{"appearance", "configuration-as-code", "credentials", "globalCredentialsConfiguration", "jenkins", "security", "tool", "unclassified"}
	cascRoot  = strings.Fields("authorizationStrategy clouds crumbIssuer disableRememberMe disabledAdministrativeMonitors globalNodeProperties " +
		"labelAtoms labelString log markupFormatter mode noUsageStatistics nodeMonitors nodeName nodeProperties nodes numExecutors primaryView " +
		"projectNamingStrategy proxy quietPeriod remotingSecurity scmCheckoutRetryCount securityRealm slaveAgentPort systemMessage updateCenter " +
		"views viewsTabBar")
	cascTemplate = strings.Fields("activeDeadlineSeconds activeDeadlineSecondsStr agentContainer agentInjection annotations containers envVars " +
		"hostNetwork id idleMinutes idleMinutesStr imagePullSecrets inheritFrom inheritYamlMergeStrategy instanceCap instanceCapStr label name " +
		"namespace nodeProperties nodeSelector nodeUsageMode podRetention readonlyFromUi runAsGroup runAsUser schedulerName serviceAccount " +
		"showRawYaml slaveConnectTimeout slaveConnectTimeoutStr supplementalGroups terminationGracePeriodSeconds volumes workspaceVolume yaml " +
		"yamlMergeStrategy yamls")
	cascNumbers = []string{"numExecutors", "quietPeriod", "scmCheckoutRetryCount", "slaveAgentPort"}
	// cascDone are the attributes that have an effect here.
	cascDone = []string{"clouds", "systemMessage"}
)

// parseCasC reads and checks a configuration. As in Jenkins values of a wrong type are found only when it is applied.
func parseCasC(data []byte) (cascDoc, error) {
	var raw any
	if err := yaml.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("read yaml: %w", err)
	}
	if raw == nil {
		return cascDoc{}, nil
	}
	doc, ok := resolveVariables(raw).(map[string]any)
	if !ok {
		return nil, &errCasC{message: "Item isn't a Mapping"}
	}
	var unknown []string
	for root := range doc {
		if !slices.Contains(cascRoots, root) {
			unknown = append(unknown, root)
		}
	}
	if slices.Sort(unknown); len(unknown) > 0 {
		return nil, &errCasC{message: "No configurator for the following root elements:" + strings.Join(unknown, ", ")}
	}
	if doc["jenkins"] == nil {
		return doc, nil
	}
	j, ok := doc["jenkins"].(map[string]any)
	if !ok {
		return nil, &errCasC{message: "Item isn't a Mapping"}
	}
	if err := checkAttributes("jenkins", "jenkins.model.Jenkins", j, cascRoot); err != nil {
		return nil, err
	}
	_, err := cascClouds(doc)
	return doc, err
}

func checkAttributes(where, class string, have map[string]any, known []string) error {
	for _, name := range sortedKeys(have) {
		if !slices.Contains(known, name) {
			return &errCasC{where: where, attribute: name, valid: known,
				message: where + ": Invalid configuration elements for type: class " + class + " : " + name + ".\nAvailable attributes : " + strings.Join(known, ", ")}
		}
	}
	return nil
}

func sortedKeys(m map[string]any) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

var cascVariable = regexp.MustCompile(`\^?\$\{[^{}]*\}`)

// resolveVariables puts the defaults of variables in. The environment of the server is nobody's business.
func resolveVariables(v any) any {
	switch v := v.(type) {
	case string:
		return cascVariable.ReplaceAllStringFunc(v, func(ref string) string {
			if escaped, ok := strings.CutPrefix(ref, "^"); ok {
				return escaped
			}
			_, def, _ := strings.Cut(strings.TrimSuffix(ref, "}"), ":-")
			return def
		})
	case map[string]any:
		for k := range v {
			v[k] = resolveVariables(v[k])
		}
	case []any:
		for i := range v {
			v[i] = resolveVariables(v[i])
		}
	}
	return v
}

// cascCloud is a Kubernetes cloud of a configuration.
type cascCloud struct {
	name      string
	form      map[string]any
	templates []*store.Template
}

// cascClouds reads the clouds; nil says that the configuration has none to set.
func cascClouds(doc cascDoc) ([]cascCloud, error) {
	j, _ := doc["jenkins"].(map[string]any)
	list, ok := j["clouds"].([]any)
	if !ok {
		return nil, nil
	}
	out := []cascCloud{}
	for _, entry := range list {
		m, _ := entry.(map[string]any)
		for _, kind := range sortedKeys(m) {
			if kind != "kubernetes" {
				return nil, &errCasC{message: "cloud: No hudson.slaves.Cloud implementation found for " + kind}
			}
			fields, _ := m[kind].(map[string]any)
			c := cascCloud{name: cmp.Or(textOf(fields["name"]), defaultCloud), form: map[string]any{}}
			for _, k := range cloudFields {
				if v, ok := fields[k]; ok {
					c.form[k] = v
				}
			}
			templates, _ := fields["templates"].([]any)
			for _, t := range templates {
				one, err := cascTemplateOf(c.name, t)
				if err != nil {
					return nil, err
				}
				c.templates = append(c.templates, one)
			}
			out = append(out, c)
		}
	}
	return out, nil
}

func textOf(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return fmt.Sprint(v)
	}
}

func cascTemplateOf(cloud string, v any) (*store.Template, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, &errCasC{message: "Item isn't a Mapping"}
	}
	if err := checkAttributes("", "org.csanchez.jenkins.plugins.kubernetes.PodTemplate", m, cascTemplate); err != nil {
		return nil, err
	}
	t := &store.Template{Cloud: cloud, ID: textOf(m["id"]), Name: textOf(m["name"]), Label: textOf(m["label"]), AgentContainer: textOf(m["agentContainer"])}
	t.ID = cmp.Or(t.ID, uuid.NewString())
	t.InstanceCap, _ = strconv.Atoi(cmp.Or(textOf(m["instanceCap"]), textOf(m["instanceCapStr"])))
	var err error
	t.YAML, err = cascPod(textOf(m["yaml"]), m["containers"])
	return t, err
}

// cascPod is the pod of a template: its yaml with the containers that stand beside it.
func cascPod(text string, containers any) (string, error) {
	list, _ := containers.([]any)
	if len(list) == 0 {
		return text, nil
	}
	pod := map[string]any{}
	if err := yaml.Unmarshal([]byte(text), &pod); err != nil {
		return "", &errCasC{message: "the yaml of a pod template cannot be read"}
	}
	spec, _ := pod["spec"].(map[string]any)
	if spec == nil {
		spec = map[string]any{}
	}
	known, _ := spec["containers"].([]any)
	for _, c := range list {
		m, _ := c.(map[string]any)
		into := map[string]any{}
		i := slices.IndexFunc(known, func(k any) bool {
			k2, ok := k.(map[string]any)
			return ok && textOf(k2["name"]) == textOf(m["name"])
		})
		if i >= 0 {
			into, _ = known[i].(map[string]any)
		} else {
			known = append(known, into)
		}
		for _, k := range []string{"name", "image", "workingDir"} {
			if s := textOf(m[k]); s != "" {
				into[k] = s
			}
		}
		for _, k := range []string{"command", "args"} {
			if words := strings.Fields(textOf(m[k])); len(words) > 0 {
				into[k] = words
			}
		}
		if m["ttyEnabled"] == true {
			into["tty"] = true
		}
	}
	spec["containers"], pod["spec"] = known, spec
	out, err := yaml.Marshal(pod)
	return string(out), err
}

// merge adds a configuration to another: lists are appended, and what both say must be the same.
func merge(into, from map[string]any) error {
	for _, k := range sortedKeys(from) {
		old, known := into[k]
		oldMap, isMap := old.(map[string]any)
		newMap, alsoMap := from[k].(map[string]any)
		oldList, isList := old.([]any)
		newList, alsoList := from[k].([]any)
		switch {
		case !known || old == nil:
			into[k] = from[k]
		case isMap && alsoMap:
			if err := merge(oldMap, newMap); err != nil {
				return err
			}
		case isList && alsoList:
			into[k] = append(slices.Clone(oldList), newList...)
		default:
			return fmt.Errorf("%w: %s", errCasCConflict, k)
		}
	}
	return nil
}

// source reads configurations from files beside the configured one, and from nowhere else.
func (s *Server) source(names string) (cascDoc, error) {
	out := cascDoc{}
	for name := range strings.SplitSeq(names, ",") {
		// Secrets may lie beside it, too.
		isYAML := slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(strings.TrimSpace(name))) || name == s.cfg.CasC
		if !isYAML || s.cfg.CasC == "" || filepath.Dir(filepath.Clean(strings.TrimSpace(name))) != filepath.Dir(filepath.Clean(s.cfg.CasC)) {
			return nil, fmt.Errorf("source %q: %w", name, os.ErrNotExist)
		}
		f, err := os.Open(filepath.Clean(strings.TrimSpace(name)))
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(io.LimitReader(f, s.cfg.MaxBody))
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
		doc, err := parseCasC(data)
		if err != nil {
			return nil, err
		}
		if err := merge(out, doc); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// configured is the configured source, empty if there is none.
func (s *Server) configured() (cascDoc, error) {
	if s.cfg.CasC == "" {
		return cascDoc{}, nil
	}
	return s.source(s.cfg.CasC)
}

// loadCasC makes the configured source that of a server that starts.
func (s *Server) loadCasC() error {
	if s.cfg.CasC == "" {
		return nil
	}
	doc, err := s.configured()
	if err == nil {
		err = s.setCasC(klog.Background(), doc)
	}
	if err != nil {
		return fmt.Errorf("configuration as code: %w", err)
	}
	return nil
}

// setCasC makes a configuration that of the server.
func (s *Server) setCasC(log klog.Logger, doc cascDoc) error {
	j, _ := doc["jenkins"].(map[string]any)
	for _, k := range cascNumbers {
		if v, ok := j[k]; ok {
			if _, err := strconv.Atoi(textOf(v)); err != nil {
				return &errCasC{message: "jenkins: " + k + " is no number"}
			}
		}
	}
	clouds, err := cascClouds(doc)
	if err != nil {
		return err
	}
	for _, k := range sortedKeys(j) {
		if !slices.Contains(cascDone, k) {
			log.Info("configuration as code: minijenkins does not have this attribute", "attribute", "jenkins."+k)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if v, ok := j["systemMessage"]; ok {
		s.systemMessage = textOf(v)
	}
	if clouds == nil {
		return nil
	}
	return s.setClouds(clouds)
}

// setClouds replaces all clouds and templates. s.mu is held.
func (s *Server) setClouds(clouds []cascCloud) error {
	var list []*store.Template
	for _, c := range clouds {
		cloud := &store.Cloud{Name: c.name, Form: c.form}
		if err := s.store.PutCloud(cloud); err != nil {
			return err
		}
		s.clouds[c.name] = cloud
		for _, t := range c.templates {
			if err := s.store.AddTemplate(t); err != nil {
				return err
			}
			list = append(list, t)
		}
	}
	for _, t := range s.templates {
		if err := s.store.DeleteTemplate(t.Seq); err != nil {
			return err
		}
	}
	for name := range s.clouds {
		if slices.ContainsFunc(clouds, func(c cascCloud) bool { return c.name == name }) {
			continue
		}
		if err := s.store.DeleteCloud(name); err != nil {
			return err
		}
		delete(s.clouds, name)
	}
	s.templates = list
	return nil
}

// cascRoutes serves /configuration-as-code and the same below /manage.
func (s *Server) cascRoutes(c *call, prefix string) {
	action := c.rest()
	c.segs = nil
	home := prefix + "/configuration-as-code/"
	switch action {
	case "":
		visit(c, "Configuration as Code [Jenkins]", "")
		return
	case "check", "apply", "export", "reload", "replace", "checkNewSource":
	default:
		fail404(c.w)
		return
	}
	if !c.post() {
		return
	}
	switch action {
	case "check":
		s.cascCheck(c)
	case "apply":
		s.cascApply(c)
	case "export":
		s.cascExport(c)
	case "checkNewSource":
		s.cascCheckSource(c)
	case "reload":
		doc, err := s.configured()
		s.cascLoad(c, doc, err, home, "")
	case "replace":
		if !c.form() {
			return
		}
		name := c.r.Form.Get("_.newSource")
		doc, err := s.source(name)
		s.cascLoad(c, doc, err, home, name)
	}
}

func (s *Server) cascCheck(c *call) {
	body, ok := c.readBody()
	if !ok {
		return
	}
	problems := []map[string]any{}
	status := http.StatusOK
	if _, err := parseCasC(body); err != nil {
		status = http.StatusBadRequest
		problems = append(problems, map[string]any{"line": -1, "message": err.Error()})
	}
	out, err := json.Marshal(problems)
	if err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	writePage(c.w, status, typeBlueFail, string(out))
}

func (s *Server) cascApply(c *call) {
	body, ok := c.readBody()
	if !ok {
		return
	}
	doc, err := parseCasC(body)
	var all cascDoc
	if err == nil {
		all, err = s.configured()
	}
	if err == nil {
		err = merge(all, doc)
	}
	if err == nil {
		err = s.setCasC(klog.FromContext(c.r.Context()), all)
	}
	if err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	empty(c.w, http.StatusOK)
}

// cascLoad makes a source the configuration. As in Jenkins what is wrong with it stands in a page of status 200, unless it is no YAML.
func (s *Server) cascLoad(c *call, doc cascDoc, err error, home, name string) {
	if err == nil {
		err = s.setCasC(klog.FromContext(c.r.Context()), doc)
	}
	var bad *errCasC
	var text string
	switch {
	case err == nil:
		redirect(c.w, home)
		return
	case errors.Is(err, os.ErrNotExist):
		text = "Source " + name + " could not be applied or does not exist."
	case errors.As(err, &bad) && name != "":
		text = "Provided sources could not be applied. Please check the syntax and validity of the provided configuration."
	case errors.As(err, &bad):
		text = bad.message
	default:
		fail500(c.w, c.r, err.Error())
		return
	}
	mark(c.w)
	writePage(c.w, http.StatusOK, typeHTML, page("Configuration as Code [Jenkins]", "<h1>Error loading configuration</h1><p>"+html.EscapeString(text)+"</p>"))
}

func (s *Server) cascCheckSource(c *call) {
	if !c.form() {
		return
	}
	name := c.r.Form.Get("newSource")
	if name == "" {
		writePage(c.w, http.StatusOK, typeHTML, "<div/>")
		return
	}
	_, err := s.source(name)
	var bad *errCasC
	switch {
	case err == nil:
		writePage(c.w, http.StatusOK, typeHTML, `<div class="ok">The configuration can be applied</div>`)
	case errors.Is(err, os.ErrNotExist):
		writePage(c.w, http.StatusOK, typeHTML, `<div class="error">Configuration cannot be applied. File or URL cannot be parsed or do not exist.</div>`)
	case errors.As(err, &bad):
		writePage(c.w, http.StatusOK, typeHTML, `<div class="error">`+strings.ReplaceAll(html.EscapeString(bad.message), "\n", "<br>")+" </div>")
	default:
		fail500(c.w, c.r, err.Error())
	}
}

// cascExport writes what the server has, so that apply takes it.
func (s *Server) cascExport(c *call) {
	s.mu.RLock()
	doc := s.cascState()
	s.mu.RUnlock()
	out, err := yaml.Marshal(doc)
	if err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	c.w.Header().Set("Content-Disposition", "attachment; filename=jenkins.yaml")
	writePage(c.w, http.StatusOK, "application/x-yaml;charset=utf-8", string(out))
}

// cascState is what export writes. s.mu is held.
func (s *Server) cascState() cascDoc {
	names := []string{defaultCloud}
	for name := range s.clouds {
		if name != defaultCloud {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	clouds := []any{}
	for _, name := range names {
		fields := map[string]any{"name": name}
		if cloud := s.clouds[name]; cloud != nil {
			for _, k := range cloudFields {
				if v, ok := cloud.Form[k]; ok {
					fields[k] = v
				}
			}
		}
		templates := []any{}
		for _, t := range s.templates {
			if t.Cloud == name {
				templates = append(templates, map[string]any{"id": t.ID, "name": t.Name, "label": t.Label, "yaml": t.YAML,
					"agentContainer": t.AgentContainer, "instanceCap": t.InstanceCap})
			}
		}
		fields["templates"] = templates
		clouds = append(clouds, map[string]any{"kubernetes": fields})
	}
	j := map[string]any{"clouds": clouds, "mode": "NORMAL", "numExecutors": 0, "quietPeriod": int(s.cfg.QuietPeriod.Seconds())}
	if s.systemMessage != "" {
		j["systemMessage"] = s.systemMessage
	}
	return cascDoc{"jenkins": j}
}
