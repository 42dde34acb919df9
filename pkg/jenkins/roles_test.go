// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// rolePlugin stands in for role-strategy.
type rolePlugin struct {
	mu    sync.Mutex
	roles map[string]*roleState
	// old is a plugin that does not tell users from groups.
	old   bool
	known []string
	calls []string
}

func (p *rolePlugin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.Header().Set("X-Jenkins", "2")
	name, ok := strings.CutPrefix(r.URL.Path, "/role-strategy/strategy/")
	_ = r.ParseForm()
	if !ok || r.Form.Get("type") != "projectRoles" || p.old && strings.HasSuffix(name, "UserRole") {
		http.NotFound(w, r)
		return
	}
	role := p.roles[r.Form.Get("roleName")]
	if read := strings.HasPrefix(name, "get"); read != (r.Method == http.MethodGet) {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	who := r.Form.Get("sid")
	switch name {
	case "getAllRoles":
		_ = json.NewEncoder(w).Encode(map[string]any{})
		return
	case "getRole":
		if role == nil {
			_, _ = w.Write([]byte("{}"))
			return
		}
		sids := []any{}
		for _, s := range role.SIDs {
			if p.old {
				sids = append(sids, s.SID)
			} else {
				sids = append(sids, s)
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"permissionIds": role.PermissionIDs, "pattern": role.Pattern, "sids": sids, "template": nil})
		return
	}
	p.calls = append(p.calls, strings.TrimSpace(name+" "+r.Form.Get("roleName")+r.Form.Get("roleNames")+" "+r.Form.Get("user")+r.Form.Get("group")+who))
	switch name {
	case "addRole":
		state := &roleState{Pattern: r.Form.Get("pattern"), PermissionIDs: map[string]bool{}}
		for _, id := range strings.Split(r.Form.Get("permissionIds"), ",") {
			if p.known == nil || slices.Contains(p.known, id) {
				state.PermissionIDs[id] = true
			}
		}
		p.roles[r.Form.Get("roleName")] = state
	case "removeRoles":
		for _, n := range strings.Split(r.Form.Get("roleNames"), ",") {
			delete(p.roles, n)
		}
	case "assignUserRole", "assignRole":
		s := sid{"USER", r.Form.Get("user")}
		if name == "assignRole" {
			s = sid{"EITHER", who}
		}
		role.SIDs = append(role.SIDs, s)
	case "assignGroupRole":
		role.SIDs = append(role.SIDs, sid{groupType, r.Form.Get("group")})
	case "unassignUserRole", "unassignRole":
		role.SIDs = slices.DeleteFunc(role.SIDs, func(s sid) bool {
			return s == sid{"USER", r.Form.Get("user")} || s == sid{"EITHER", who}
		})
	default:
		http.NotFound(w, r)
	}
}

func (p *rolePlugin) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.calls
	p.calls = nil
	return out
}

func TestPutRole(t *testing.T) {
	for _, old := range []bool{false, true} {
		plugin := &rolePlugin{roles: map[string]*roleState{}, old: old, known: []string{"a.Read", "a.Build"}}
		c := handler(t, plugin.ServeHTTP)
		if has, err := c.HasRoleStrategy(t.Context()); err != nil || !has {
			t.Fatal(has, err)
		}
		role := Role{Name: "slipway/shop/admin", Pattern: FolderPattern("shop"), Permissions: []string{"a.Read", "a.Build", "a.Unknown"}, Users: []string{"ann", "größe x"}}
		put := func(want ...string) {
			t.Helper()
			if err := c.PutRole(t.Context(), role); err != nil {
				t.Fatal(err)
			}
			if old {
				for i := range want {
					want[i] = strings.Replace(want[i], "ssignUserRole", "ssignRole", 1)
				}
			}
			if diff := cmp.Diff(want, plugin.take()); diff != "" {
				t.Errorf("old plugin %v: -want +got:\n%s", old, diff)
			}
		}
		put("addRole slipway/shop/admin", "assignUserRole slipway/shop/admin ann", "assignUserRole slipway/shop/admin größe x")
		put()
		role.Users = []string{"ann", "bob"}
		put("assignUserRole slipway/shop/admin bob", "unassignUserRole slipway/shop/admin größe x")
		role.Permissions = []string{"a.Read"}
		put("addRole slipway/shop/admin", "assignUserRole slipway/shop/admin ann", "assignUserRole slipway/shop/admin bob")
		if !old {
			plugin.roles[role.Name].SIDs = append(plugin.roles[role.Name].SIDs, sid{groupType, "ops"})
			put()
			role.Pattern = FolderPattern("shop2")
			put("addRole slipway/shop/admin", "assignUserRole slipway/shop/admin ann", "assignUserRole slipway/shop/admin bob", "assignGroupRole slipway/shop/admin ops")
			put()
		}
		if err := c.DeleteRoles(t.Context(), role.Name, "none"); err != nil {
			t.Fatal(err)
		}
		if names := slices.Collect(maps.Keys(plugin.roles)); len(names) > 0 {
			t.Errorf("left: %v", names)
		}
	}
}

func TestWithoutRoleStrategy(t *testing.T) {
	c := handler(t, notFound)
	if has, err := c.HasRoleStrategy(t.Context()); err != nil || has {
		t.Errorf("%v, %v", has, err)
	}
	if err := c.DeleteRoles(t.Context(), "x"); err != nil {
		t.Error(err)
	}
	c = handler(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "starting", http.StatusServiceUnavailable) })
	if has, err := c.HasRoleStrategy(t.Context()); !errors.Is(err, ErrUnavailable) || has {
		t.Errorf("%v, %v", has, err)
	}
	c = handler(t, func(http.ResponseWriter, *http.Request) { t.Error("a call was made") })
	for reason, r := range map[string]Role{"no name": {Pattern: "x"}, "no pattern": {Name: "x"}, "two names": {Name: "a,b", Pattern: "x"}, "two rights in one": {Name: "a", Pattern: "x", Permissions: []string{"a,b"}}} {
		if err := c.PutRole(t.Context(), r); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", reason, err)
		}
	}
	if err := c.DeleteRoles(t.Context(), "a,admin"); !errors.Is(err, ErrInvalid) {
		t.Errorf("two names in one: %v", err)
	}
}

func TestFolderPattern(t *testing.T) {
	for folder, items := range map[string]struct{ in, out []string }{
		"shop":   {[]string{"shop", "shop/a", "shop/a/b", "shop/größe"}, []string{"shop2", "shop-x/a", "xshop", "a/shop", "a/shop/b", "SHOP", "", "shop2/shop/a"}},
		"a.b":    {[]string{"a.b", "a.b/c"}, []string{"axb", "axb/c", "a"}},
		"a|b":    {[]string{"a|b/x"}, []string{"a", "b", "b/x"}},
		"x(.*)y": {[]string{"x(.*)y"}, []string{"xAy", "xy"}},
	} {
		// Java and Go read these patterns alike.
		pattern := regexp.MustCompile(FolderPattern(folder))
		for _, item := range items.in {
			if !pattern.MatchString(item) {
				t.Errorf("%s: %q is not matched", folder, item)
			}
		}
		for _, item := range items.out {
			if pattern.MatchString(item) {
				t.Errorf("%s: %q is matched", folder, item)
			}
		}
	}
}
