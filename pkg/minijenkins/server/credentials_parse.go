// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// errCredential says that a credential cannot be read. It never repeats what was sent.
var errCredential = errors.New("bad credential")

// credentialKind says how the entries of a class are written.
type credentialKind struct {
	typeName string
	kind     engine.CredentialKind
	// name is the field of the user name or file name, which is no secret; empty if the class has none.
	name string
	// afterName stands behind the name in the name that Jenkins shows.
	afterName string
	// secrets are the fields that are secret: their path in the form, which is that in XML too.
	secrets [][]string
}

// credentialKinds are the classes of a Jenkins without further plugins.
var credentialKinds = map[string]credentialKind{
	"com.cloudbees.plugins.credentials.impl.UsernamePasswordCredentialsImpl": {
		typeName: "Username with password", kind: engine.CredentialUsernamePassword, name: "username", afterName: "/******", secrets: [][]string{{"password"}}},
	"com.cloudbees.jenkins.plugins.sshcredentials.impl.BasicSSHUserPrivateKey": {
		typeName: "SSH Username with private key", kind: engine.CredentialSSHKey, name: "username", secrets: [][]string{{"passphrase"}, {"privateKeySource", "privateKey"}}},
	"org.jenkinsci.plugins.plaincredentials.impl.StringCredentialsImpl": {
		typeName: "Secret text", kind: engine.CredentialSecretText, secrets: [][]string{{"secret"}}},
	"org.jenkinsci.plugins.plaincredentials.impl.FileCredentialsImpl": {
		typeName: "Secret file", kind: engine.CredentialFile, name: "fileName", secrets: [][]string{{"secretBytes"}}},
}

// credentialEntry is an entry as it was sent.
type credentialEntry struct {
	store.Credential
	secrets map[string]string
}

func isXMLBody(r *http.Request) bool {
	t := mediaType(r)
	return strings.HasPrefix(t, "application/xml") || strings.HasPrefix(t, "text/xml")
}

// jsonField reads the object in the field json of a form; it answers and returns false if there is none.
func (c *call) jsonField() (map[string]any, bool) {
	if !c.form() {
		return nil, false
	}
	if !c.r.Form.Has("json") {
		failContainer(c.w, http.StatusBadRequest, "This page expects a form submission")
		return nil, false
	}
	var doc map[string]any
	if err := json.Unmarshal([]byte(c.r.Form.Get("json")), &doc); err != nil {
		fail500(c.w, c.r, "json cannot be read")
		return nil, false
	}
	return doc, true
}

// scopeSystem is the scope of entries that jobs do not see.
const scopeSystem = "SYSTEM"

// credentialFromForm reads the form of an entry. Fields that are missing are empty, as in Jenkins.
func credentialFromForm(v any) (*credentialEntry, error) {
	doc, _ := v.(map[string]any)
	text := func(path ...string) string {
		at := doc
		for _, name := range path[:len(path)-1] {
			at, _ = at[name].(map[string]any)
		}
		s, _ := at[path[len(path)-1]].(string)
		return s
	}
	class := text("stapler-class")
	if class == "" {
		class = text("$class")
	}
	kind, ok := credentialKinds[class]
	if !ok {
		return nil, errCredential
	}
	e := &credentialEntry{Credential: store.Credential{ID: text("id"), Description: text("description"), Class: class}, secrets: map[string]string{}}
	e.System = text("scope") == scopeSystem
	if kind.name != "" {
		e.Name = text(kind.name)
	}
	if hidden, ok := doc["usernameSecret"].(bool); ok {
		e.NameSecret = hidden
	}
	for _, path := range kind.secrets {
		e.secrets[path[len(path)-1]] = text(path...)
	}
	return e, nil
}

// credentialFromXML reads the body as the XML of an entry; it answers and returns false if it is none.
func (s *Server) credentialFromXML(c *call) (*credentialEntry, bool) {
	body, ok := c.readBody()
	if !ok {
		return nil, false
	}
	root, err := parseXML(body)
	if err != nil {
		fail500(c.w, c.r, "the XML cannot be read")
		return nil, false
	}
	kind, ok := credentialKinds[root.name]
	if !ok {
		fail500(c.w, c.r, errCredential.Error())
		return nil, false
	}
	e := &credentialEntry{Credential: store.Credential{ID: root.value("id"), Description: root.value("description"), Class: root.name}, secrets: map[string]string{}}
	e.System = strings.TrimSpace(root.value("scope")) == scopeSystem
	if kind.name != "" {
		e.Name = root.value(kind.name)
		// XML of before the element was known kept the user name secret.
		e.NameSecret = kind.name == "username" && kind.afterName != "" && root.value("usernameSecret") != "false"
	}
	for _, path := range kind.secrets {
		e.secrets[path[len(path)-1]] = root.value(path...)
	}
	return e, true
}

// credentialDoc is the config.xml of an entry, without what is secret.
func credentialDoc(c *store.Credential) string {
	kind := credentialKinds[c.Class]
	var b strings.Builder
	element := func(name, text string) { b.WriteString("  <" + name + ">" + escapeXML(text) + "</" + name + ">\n") }
	b.WriteString("<" + c.Class + ">\n")
	element("scope", map[bool]string{true: scopeSystem, false: "GLOBAL"}[c.System])
	element("id", c.ID)
	element("description", c.Description)
	if kind.name != "" {
		element(kind.name, c.Name)
	}
	for _, path := range kind.secrets {
		b.WriteString("  ")
		for _, name := range path {
			b.WriteString("<" + name + ">")
		}
		b.WriteString("<secret-redacted/>")
		for i := len(path) - 1; i >= 0; i-- {
			b.WriteString("</" + path[i] + ">")
		}
		b.WriteString("\n")
	}
	if kind.name == "username" {
		element("usernameSecret", map[bool]string{true: "true", false: "false"}[c.NameSecret])
	}
	b.WriteString("</" + c.Class + ">")
	return b.String()
}
