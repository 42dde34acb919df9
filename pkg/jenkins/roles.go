// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Item roles of the plugin role-strategy, by its own REST API (/role-strategy/strategy/…). No recording of a Jenkins shows this plugin:
// what is here follows the documentation of the methods in its source (RoleBasedAuthorizationStrategy, doGetRole since 2.8.3) and is
// tested against a stand-in that was written from it. All calls need Overall/Administer, or the plugin's own right on item roles.

const (
	rolePath = "/role-strategy/strategy/"
	roleType = "projectRoles"
	// userType and groupType tell what somebody is who has a role.
	userType, groupType = "USER", "GROUP"
)

// Role is an item role: rights on the items whose full name matches a pattern, for users.
type Role struct {
	// Name is unique among item roles. It must not have a comma.
	Name string
	// Pattern is a regular expression of Java for the full name of an item; see FolderPattern.
	Pattern string
	// Permissions are ids such as hudson.model.Item.Read. Jenkins leaves out those that it does not know.
	Permissions []string
	// Users are the users who have the role; others lose it. Groups that got it in Jenkins keep it.
	Users []string
}

// FolderPattern matches a folder and all items in it, and nothing else.
func FolderPattern(folder string) string { return "^" + regexp.QuoteMeta(folder) + "(/.*)?$" }

// HasRoleStrategy tells if Jenkins has the plugin and authorizes by it.
func (c *Client) HasRoleStrategy(ctx context.Context) (bool, error) {
	var roles map[string]json.RawMessage
	err := c.getJSON(ctx, "find role strategy", rolePath+"getAllRoles", url.Values{"type": {roleType}}, &roles)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// sid is who has a role. Before the plugin told users from groups, it was just a name.
type sid struct {
	Type string `json:"type"`
	SID  string `json:"sid"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *sid) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		s.Type = "EITHER"
		return json.Unmarshal(data, &s.SID)
	}
	type plain sid
	return json.Unmarshal(data, (*plain)(s))
}

// roleState is what Jenkins tells of a role; without a pattern there is none.
type roleState struct {
	Pattern       string          `json:"pattern"`
	PermissionIDs map[string]bool `json:"permissionIds"`
	SIDs          []sid           `json:"sids"`
}

// PutRole makes a role be as given. A role that exists is made anew if its pattern or its rights are others, by which all lose it for
// the moment until they are assigned again; who is no user of it any more loses it.
func (c *Client) PutRole(ctx context.Context, r Role) error {
	const op = "put role"
	if r.Name == "" || r.Pattern == "" || strings.Contains(r.Name, ",") || slices.ContainsFunc(r.Permissions, func(p string) bool { return strings.Contains(p, ",") }) {
		return newError(op, ErrInvalid, "a role needs a name and a pattern, and names have no commas")
	}
	var now roleState
	if err := c.getJSON(ctx, op, rolePath+"getRole", url.Values{"type": {roleType}, "roleName": {r.Name}}, &now); err != nil {
		return err
	}
	var lost []sid // groups that lose the role for the moment
	if now.Pattern != r.Pattern || !now.grants(r.Permissions) {
		_, err := c.postForm(ctx, op, rolePath+"addRole", url.Values{"type": {roleType}, "roleName": {r.Name}, "pattern": {r.Pattern},
			"permissionIds": {strings.Join(r.Permissions, ",")}, "overwrite": {"true"}})
		if err != nil {
			return err
		}
		now.SIDs = slices.DeleteFunc(now.SIDs, func(s sid) bool { return s.Type != groupType })
		lost = now.SIDs
	}
	for _, user := range r.Users {
		if !slices.ContainsFunc(now.SIDs, func(s sid) bool { return s.SID == user && s.Type != groupType }) {
			if err := c.assign(ctx, "assign", r.Name, sid{userType, user}); err != nil {
				return err
			}
		}
	}
	for _, group := range lost {
		if err := c.assign(ctx, "assign", r.Name, group); err != nil {
			return err
		}
	}
	for _, s := range now.SIDs {
		if s.Type != groupType && !slices.Contains(r.Users, s.SID) {
			if err := c.assign(ctx, "unassign", r.Name, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// grants tells if a role has just these rights, apart from those that this Jenkins does not know.
func (s roleState) grants(permissions []string) bool {
	for id := range s.PermissionIDs {
		if !slices.Contains(permissions, id) {
			return false
		}
	}
	// Unknown rights are not stored, so that fewer than asked for are no difference that another write would mend; none at all is.
	return len(s.PermissionIDs) > 0 || len(permissions) == 0
}

// assignMethods are the ends of the names of the plugin's methods, and what they call who gets or loses a role.
var assignMethods = map[string]struct{ name, parameter string }{userType: {"UserRole", "user"}, groupType: {"GroupRole", "group"}}

// assign gives a role to somebody or takes it away: by the method for users or groups or, where the plugin is too old for that, by the one for names.
func (c *Client) assign(ctx context.Context, verb, role string, s sid) error {
	op := verb + " role"
	if method, known := assignMethods[s.Type]; known {
		_, err := c.postForm(ctx, op, rolePath+verb+method.name, url.Values{"type": {roleType}, "roleName": {role}, method.parameter: {s.SID}})
		if !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	_, err := c.postForm(ctx, op, rolePath+verb+"Role", url.Values{"type": {roleType}, "roleName": {role}, "sid": {s.SID}})
	return err
}

// DeleteRoles removes roles; that there are none of these names is a success, and so is a Jenkins without the plugin.
func (c *Client) DeleteRoles(ctx context.Context, names ...string) error {
	const op = "delete roles"
	if slices.ContainsFunc(names, func(n string) bool { return n == "" || strings.Contains(n, ",") }) {
		return newError(op, ErrInvalid, "the name of a role is not empty and has no comma")
	}
	_, err := c.postForm(ctx, op, rolePath+"removeRoles", url.Values{"type": {roleType}, "roleNames": {strings.Join(names, ",")}})
	return ignoreNotFound(err)
}
