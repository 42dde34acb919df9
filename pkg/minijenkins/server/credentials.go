// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"cmp"
	"context"
	"crypto/md5" //nolint:gosec // Jenkins names fingerprints so; nothing depends on its strength
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/slipway-dev/slipway/pkg/minijenkins/engine"
	"github.com/slipway-dev/slipway/pkg/minijenkins/store"
)

// The credential stores of folders, /job/F/credentials/…, and of the system, /credentials/…, with the one domain "_" each. What is secret goes to the disk encrypted and comes
// back to builds only; no answer has it.

const (
	classCredentialsAction = "com.cloudbees.plugins.credentials.ViewCredentialsAction"
	classCredentialStore   = "com.cloudbees.hudson.plugins.folder.properties.FolderCredentialsProvider$FolderCredentialsProperty$CredentialsStoreActionImpl"
	classSystemStore       = "com.cloudbees.plugins.credentials.SystemCredentialsProvider$UserFacingAction"
	classCredentialDomain  = "com.cloudbees.plugins.credentials.CredentialsStoreAction$DomainWrapper"
	classCredential        = "com.cloudbees.plugins.credentials.CredentialsStoreAction$CredentialsWrapper"

	globalDomain = "_"
)

// maxCredentialID bounds an id, which is part of a key of the database.
const maxCredentialID = 1024

// errNoCredential says that a job sees no entry of an id.
var errNoCredential = errors.New("no such credential")

// credentials are the entries of all folders in memory, by the ID of the folder and their own. Server.mu guards them.
type credentials map[uint64]map[string]*store.Credential

func credentialsOf(list []*store.Credential) credentials {
	out := credentials{}
	for _, c := range list {
		out.put(c)
	}
	return out
}

func (m credentials) put(c *store.Credential) {
	if m[c.Folder] == nil {
		m[c.Folder] = map[string]*store.Credential{}
	}
	m[c.Folder][c.ID] = c
}

// list gives the entries of a folder in the order of their creation.
func (m credentials) list(folder uint64) []*store.Credential {
	out := make([]*store.Credential, 0, len(m[folder]))
	for _, c := range m[folder] {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b *store.Credential) int { return cmp.Compare(a.Seq, b.Seq) })
	return out
}

// credentialScope says what the store of a folder, or that of the system at the root, is called.
type credentialScope struct{ name, class, display, full string }

func scopeOf(it *item) credentialScope {
	if it.isRoot() {
		return credentialScope{"system", classSystemStore, "System", "system"}
	}
	return credentialScope{"folder", classCredentialStore, fullDisplayName(it) + " » Folder", it.fullName() + "/folder"}
}

// credentialRoutes serves what is below /job/F/credentials and, for what every job sees, /credentials.
func (s *Server) credentialRoutes(c *call, it *item) {
	if !it.isFolder() {
		fail404(c.w)
		return
	}
	c.next() // "credentials"
	scope := scopeOf(it)
	if c.isAPI() {
		s.locked(c, func(string) any {
			return bean(classCredentialsAction).set("stores", bean("").in(scope.name, s.credentialStoreBean(it)))
		})
		return
	}
	if c.next() != "store" || c.next() != scope.name {
		fail404(c.w)
		return
	}
	if c.isAPI() {
		s.locked(c, func(string) any { return s.credentialStoreBean(it) })
		return
	}
	if c.next() != "domain" || c.next() != globalDomain {
		fail404(c.w)
		return
	}
	s.credentialDomain(c, it)
}

// credentialDomain serves what is below …/domain/_.
func (s *Server) credentialDomain(c *call, it *item) {
	if c.isAPI() {
		s.locked(c, func(string) any { return s.credentialDomainBean(it) })
		return
	}
	switch c.next() {
	case "":
		visit(c, "Global credentials (unrestricted) [Jenkins]", "")
	case "createCredentials":
		if c.post() {
			s.createCredential(c, it)
		}
	case "credential":
		id := c.next()
		if id == "" {
			visit(c, "Global credentials (unrestricted) [Jenkins]", "")
			return
		}
		s.credential(c, it, id)
	default:
		fail404(c.w)
	}
}

// credential serves what is below …/credential/ID.
func (s *Server) credential(c *call, it *item, id string) {
	s.mu.RLock()
	known := s.credentials[it.ID][id]
	s.mu.RUnlock()
	switch {
	case known == nil:
		fail404(c.w)
	case c.isAPI():
		s.locked(c, func(string) any {
			if now := s.credentials[it.ID][id]; now != nil {
				return credentialBean(it, now, classCredential)
			}
			return (*object)(nil)
		})
	case c.rest() == "":
		visit(c, id+" [Jenkins]", "")
	case c.rest() == "updateSubmit":
		if c.post() {
			s.updateCredential(c, it, id)
		}
	case c.rest() == "doDelete":
		if c.post() && s.dropCredential(c, it, id) {
			redirect(c.w, credentialStorePath(it, c.at.path)+"/credential/"+encodeSegment(id)+"/../..")
		}
	case c.rest() == "config.xml":
		s.credentialXML(c, it, known)
	default:
		fail404(c.w)
	}
}

func credentialStorePath(it *item, path string) string {
	if it.isRoot() {
		path = "/"
	}
	return path + "credentials/store/" + scopeOf(it).name + "/domain/_"
}

// createCredential adds an entry, from a form or from XML. As in Jenkins a form says nothing of an entry that is there already, and
// changes nothing.
func (s *Server) createCredential(c *call, it *item) {
	if isXMLBody(c.r) {
		entry, ok := s.credentialFromXML(c)
		if !ok {
			return
		}
		if entry.ID == "" {
			entry.ID = uuid.NewString()
		}
		switch added, err := s.putCredential(it, entry, false); {
		case err != nil:
			fail500(c.w, c.r, err.Error())
		case !added:
			empty(c.w, http.StatusConflict)
		default:
			empty(c.w, http.StatusOK)
		}
		return
	}
	doc, ok := c.jsonField()
	if !ok {
		return
	}
	entry, err := credentialFromForm(doc["credentials"])
	if err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	if entry.ID == "" {
		entry.ID = uuid.NewString()
	}
	if _, err := s.putCredential(it, entry, false); err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	redirect(c.w, credentialStorePath(it, c.at.path)+"/../../domain/_")
}

// updateCredential replaces an entry by form: here the form is not wrapped, and the id cannot be changed.
func (s *Server) updateCredential(c *call, it *item, id string) {
	doc, ok := c.jsonField()
	if !ok {
		return
	}
	entry, err := credentialFromForm(doc)
	if err == nil && entry.ID != id {
		err = errCredential
	}
	if err == nil {
		_, err = s.putCredential(it, entry, true)
	}
	if err != nil {
		fail500(c.w, c.r, err.Error())
		return
	}
	redirect(c.w, credentialStorePath(it, c.at.path)+"/credential/"+encodeSegment(id)+"/")
}

// credentialXML reads, replaces or deletes an entry as config.xml.
func (s *Server) credentialXML(c *call, it *item, known *store.Credential) {
	switch c.r.Method {
	case http.MethodGet, http.MethodHead:
		s.mu.RLock()
		doc := credentialDoc(known)
		s.mu.RUnlock()
		writePage(c.w, http.StatusOK, "application/xml", doc)
	case http.MethodDelete:
		if s.dropCredential(c, it, known.ID) {
			empty(c.w, http.StatusOK)
		}
	case http.MethodPost:
		entry, ok := s.credentialFromXML(c)
		if !ok {
			return
		}
		entry.ID = known.ID
		if _, err := s.putCredential(it, entry, true); err != nil {
			fail500(c.w, c.r, err.Error())
			return
		}
		empty(c.w, http.StatusOK)
	default:
		fail404(c.w)
	}
}

// putCredential stores an entry in the store of a folder. Without replace it leaves alone one that is there, and tells so.
func (s *Server) putCredential(it *item, entry *credentialEntry, replace bool) (stored bool, err error) {
	if len(entry.ID) > maxCredentialID || strings.ContainsRune(entry.ID, 0) {
		return false, errCredential
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !it.isRoot() && s.items[it.ID] != it {
		return false, errNoItem
	}
	next := entry.Credential
	next.Folder = it.ID
	before := s.credentials[it.ID][entry.ID]
	switch {
	case before == nil && replace:
		return false, errNoItem
	case before != nil && !replace:
		return false, nil
	case before != nil:
		next.Seq, next.Used = before.Seq, before.Used
	}
	if err := s.store.PutCredential(&next, entry.secrets); err != nil {
		return false, err
	}
	s.credentials.put(&next)
	return true, nil
}

// dropCredential removes an entry; it answers and returns false if that fails.
func (s *Server) dropCredential(c *call, it *item, id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.credentials[it.ID][id] == nil {
		fail404(c.w)
		return false
	}
	if err := s.store.DeleteCredential(it.ID, id); err != nil {
		fail500(c.w, c.r, err.Error())
		return false
	}
	delete(s.credentials[it.ID], id)
	return true
}

// findCredential gives the entry of an id that a job sees: that of the nearest folder around it, else that of the system. s.mu is held.
func (s *Server) findCredential(job *item, id string) *store.Credential {
	for it := job; it != nil; it = it.up {
		if c := s.credentials[it.ID][id]; c != nil && !c.System {
			return c
		}
	}
	return nil
}

// useCredential notes that a build uses an entry and gives what it holds. It fails with errNoCredential if the job sees no such entry.
func (s *Server) useCredential(key store.BuildKey, id string) (*credentialEntry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	job := s.items[key.Job]
	if job == nil {
		return nil, errNoItem
	}
	found := s.findCredential(job, id)
	if found == nil {
		return nil, errNoCredential
	}
	secrets, err := s.store.Secrets(found)
	if err != nil {
		return nil, err
	}
	next := *found
	var isNew bool
	if next.Used, isNew = used(found.Used, job.fullName(), key.Number); isNew {
		if err := s.store.PutCredential(&next, nil); err != nil {
			return nil, err
		}
		s.credentials.put(&next)
	}
	return &credentialEntry{Credential: next, secrets: secrets}, nil
}

// credentialSource gives a build the credentials that its job sees.
type credentialSource struct {
	s   *Server
	key store.BuildKey
}

// Credential implements engine.CredentialSource.
func (c credentialSource) Credential(_ context.Context, id string) (engine.Credential, bool, error) {
	entry, err := c.s.useCredential(c.key, id)
	if errors.Is(err, errNoCredential) {
		return engine.Credential{}, false, nil
	}
	if err != nil {
		return engine.Credential{}, false, err
	}
	out := engine.Credential{Kind: credentialKinds[entry.Class].kind}
	switch out.Kind {
	case engine.CredentialUsernamePassword:
		out.Username, out.Password = entry.Name, entry.secrets["password"]
	case engine.CredentialSSHKey:
		out.Username, out.Secret, out.Password = entry.Name, entry.secrets["privateKey"], entry.secrets["passphrase"]
	case engine.CredentialSecretText:
		out.Secret = entry.secrets["secret"]
	case engine.CredentialFile:
		out.FileName = entry.Name
		if out.File, err = base64.StdEncoding.DecodeString(strings.TrimSpace(entry.secrets["secretBytes"])); err != nil {
			return engine.Credential{}, false, errors.New("its content is not base64")
		}
	}
	return out, true, nil
}

// What is remembered of the use of an entry: the newest builds of the newest jobs. All of it is written to the disk at each use.
const (
	maxUseBuilds = 200
	maxUseJobs   = 200
)

// used adds a build to a copy of the list. It gives the list itself if the build is in it, or too old to be remembered.
func used(list []store.CredentialUse, job string, number int) (out []store.CredentialUse, isNew bool) {
	i := slices.IndexFunc(list, func(u store.CredentialUse) bool { return u.Job == job })
	if i < 0 {
		out = append(slices.Clone(list), store.CredentialUse{Job: job, Builds: []int{number}})
		return out[max(0, len(out)-maxUseJobs):], true
	}
	at, there := slices.BinarySearch(list[i].Builds, number)
	if there || at == 0 && len(list[i].Builds) >= maxUseBuilds {
		return list, false
	}
	out = slices.Clone(list)
	builds := slices.Insert(slices.Clone(out[i].Builds), at, number)
	out[i].Builds = builds[max(0, len(builds)-maxUseBuilds):]
	return out, true
}

// credentialStoreBean is the store of a folder. s.mu is held, as in the functions below.
func (s *Server) credentialStoreBean(it *item) *object {
	return bean(scopeOf(it).class).lazy(1, "domains", func() any {
		return bean("").in(globalDomain, s.credentialDomainBean(it))
	})
}

func (s *Server) credentialDomainBean(it *item) *object {
	const title = "Global credentials (unrestricted)"
	return bean(classCredentialDomain).
		lazy(1, "credentials", func() any {
			out := []*object{}
			for _, c := range s.credentials.list(it.ID) {
				out = append(out, credentialBean(it, c, ""))
			}
			return out
		}).
		set("description", "Credentials that should be available irrespective of domain specification to requirements matching.").
		set("displayName", title).
		set("fullDisplayName", scopeOf(it).display+" » "+title).
		set("fullName", scopeOf(it).full+"/"+globalDomain).
		set("global", true).set("urlName", globalDomain)
}

func credentialBean(it *item, c *store.Credential, class string) *object {
	return bean(class).set("description", c.Description).set("displayName", displayCredential(c)).
		lazy(1, "fingerprint", func() any { return fingerprintBean(it, c) }).
		set("fullName", scopeOf(it).full+"/"+globalDomain+"/"+c.ID).
		set("id", c.ID).set("typeName", credentialKinds[c.Class].typeName)
}

// displayCredential is the name that Jenkins makes of an entry.
func displayCredential(c *store.Credential) string {
	kind := credentialKinds[c.Class]
	if kind.name == "" || c.NameSecret {
		return cmp.Or(c.Description, c.ID)
	}
	name := c.Name + kind.afterName
	if c.Description != "" {
		name += " (" + c.Description + ")"
	}
	return name
}

// fingerprintBean tells which builds used an entry; nil, as long as none did.
func fingerprintBean(it *item, c *store.Credential) *object {
	if len(c.Used) == 0 {
		return nil
	}
	usage := []*object{}
	for _, u := range c.Used {
		ranges := []*object{}
		for _, r := range buildRanges(u.Builds) {
			ranges = append(ranges, bean("").vis(always, "end", r[1]).vis(always, "start", r[0]))
		}
		usage = append(usage, bean("").vis(always, "name", u.Job).vis(always, "ranges", bean("").vis(always, "ranges", ranges)))
	}
	sum := md5.Sum([]byte(it.fullName() + "\x00" + c.ID)) //nolint:gosec // as above
	return bean("").set("fileName", "Credential id="+c.ID+" name="+displayCredential(c)).
		set("hash", hex.EncodeToString(sum[:])).set("original", nil).set("timestamp", 0).set("usage", usage)
}

// buildRanges joins growing numbers to ranges [from, to).
func buildRanges(numbers []int) [][2]int {
	var out [][2]int
	for _, n := range numbers {
		if last := len(out) - 1; last >= 0 && out[last][1] == n {
			out[last][1] = n + 1
			continue
		}
		out = append(out, [2]int{n, n + 1})
	}
	return out
}
