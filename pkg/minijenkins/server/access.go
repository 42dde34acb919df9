// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package server

import (
	"html"
	"net/http"
	"slices"
)

// permission is what a request needs beyond reading, starting, stopping and answering.
type permission struct{ id, name string }

var (
	mayCreate     = permission{"hudson.model.Item.Create", "Job/Create"}
	mayConfigure  = permission{"hudson.model.Item.Configure", "Job/Configure"}
	mayDelete     = permission{"hudson.model.Item.Delete", "Job/Delete"}
	mayDeleteRun  = permission{"hudson.model.Run.Delete", "Run/Delete"}
	mayUpdateRun  = permission{"hudson.model.Run.Update", "Run/Update"}
	mayReplay     = permission{"hudson.model.Run.Replay", "Run/Replay"}
	mayAdminister = permission{"hudson.model.Hudson.Administer", "Overall/Administer"}
	mayViewSecret = permission{"com.cloudbees.plugins.credentials.CredentialsProvider.View", "Credentials/View"}
)

// itemPermissions are what the actions of an item or a build need.
var itemPermissions = map[string]permission{
	"createItem": mayCreate, "createView": mayConfigure, "move": mayConfigure, "nextbuildnumber": mayConfigure, "config.xml": mayConfigure, "confirmRename": mayConfigure, "doRename": mayConfigure, "submitDescription": mayConfigure,
	"disable": mayConfigure, "enable": mayConfigure, "doDelete": mayDelete, "credentials": mayViewSecret,
}

var runPermissions = map[string]permission{
	"doDelete": mayDeleteRun, "toggleLogKeep": mayUpdateRun, "submitDescription": mayUpdateRun, "replay": mayReplay,
}

// permitted tells if the user of a request has a permission; it answers if not.
func (c *call) permitted(p permission) bool {
	l := loginOf(c.r)
	if !l.limited || p.id == "" {
		return true
	}
	c.deny(p)
	return false
}

// deny answers that the user lacks a permission.
func (c *call) deny(p permission) {
	l := loginOf(c.r)
	mark(c.w)
	h := c.w.Header()
	h.Set("X-You-Are-Authenticated-As", l.user)
	h.Set("X-Required-Permission", p.id)
	writePage(c.w, http.StatusForbidden, typeHTML,
		page("Jenkins", "<h1>Access Denied</h1><p class=\"error\">"+html.EscapeString(l.user)+" is missing the "+p.name+" permission</p>"))
}

// permittedOnBranch tells if an action on an item may be done although the item is the job of a branch, which belongs to its scan; it
// answers if not.
func (c *call) permittedOnBranch(it *item, action string) bool {
	if !it.isBranch() || c.r.Method == http.MethodGet || c.r.Method == http.MethodHead {
		return true
	}
	switch action {
	case "doDelete":
		c.deny(mayDelete)
	case "config.xml", "confirmRename", "doRename", "submitDescription", "move":
		c.deny(mayConfigure)
	default:
		return true
	}
	return false
}

// topAllowed tells if the first part of a path is one that users without administration have.
func (c *call) topAllowed(first string) bool {
	admin := slices.Contains([]string{"manage", "cloud", "quietDown", "cancelQuietDown", "safeRestart", "safeExit", "restart", "exit", "configuration-as-code", "script", "scriptText"}, first)
	return !admin || c.permitted(mayAdminister)
}
