// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devopsproject

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// itemRoles stand in for the plugin.
type itemRoles struct {
	there bool
	err   error
	roles map[string]jenkins.Role
	calls []string
}

func (r *itemRoles) HasRoleStrategy(context.Context) (bool, error) {
	r.calls = append(r.calls, "has")
	return r.there && r.err == nil, r.err
}

func (r *itemRoles) PutRole(_ context.Context, role jenkins.Role) error {
	r.calls = append(r.calls, "put")
	if r.err == nil {
		r.roles[role.Name] = role
	}
	return r.err
}

func (r *itemRoles) DeleteRoles(_ context.Context, names ...string) error {
	r.calls = append(r.calls, "delete")
	for _, n := range names {
		if r.err == nil {
			delete(r.roles, n)
		}
	}
	return r.err
}

func (r *itemRoles) take() []string {
	out := r.calls
	r.calls = nil
	return out
}

func roleBinding(namespace, name, role string, users ...string) *rbacv1.RoleBinding {
	b := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, RoleRef: rbacv1.RoleRef{Kind: "Role", Name: role}}
	for _, u := range users {
		b.Subjects = append(b.Subjects, rbacv1.Subject{Kind: rbacv1.UserKind, Name: u})
	}
	return b
}

func TestRoles(t *testing.T) {
	binding := roleBinding("shop", "m", "operator", "bob", "ann", "system:serviceaccount:x:y")
	binding.Subjects = append(binding.Subjects, rbacv1.Subject{Kind: rbacv1.GroupKind, Name: "team"}, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Name: "sa"})
	b := newBench(t, project("shop", "ann"), binding, roleBinding("shop", "v", "viewer", "bob", "größe"), roleBinding("shop", "o", "other", "eve"),
		roleBinding("other", "m", "admin", "mallory"))
	roles := &itemRoles{there: true, roles: map[string]jenkins.Role{}}
	b.r.Roles = roles
	pass := func() {
		t.Helper()
		if _, err := b.pass("shop"); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		pass()
	}
	if diff := cmp.Diff([]string{"has", "put", "put", "put"}, roles.take()); diff != "" {
		t.Errorf("calls of three passes:\n%s", diff)
	}
	users := map[string][]string{}
	for name, role := range roles.roles {
		users[name] = role.Users
		if role.Pattern != "^shop(/.*)?$" || slices.Contains(role.Permissions, "hudson.model.Item.Configure") || !slices.Contains(role.Permissions, "hudson.model.Item.Read") {
			t.Errorf("role %+v", role)
		}
	}
	want := map[string][]string{"slipway/shop/admin": {"ann"}, "slipway/shop/operator": {"bob"}, "slipway/shop/viewer": {"größe"}}
	if diff := cmp.Diff(want, users); diff != "" {
		t.Errorf("members:\n%s", diff)
	}

	if stale, err := b.r.staleRoles(t.Context()); err != nil || len(stale) > 0 {
		t.Errorf("nothing changed: %v, %v", stale, err)
	}
	if err := b.cluster.Delete(t.Context(), binding); err != nil {
		t.Fatal(err)
	}
	if stale, err := b.r.staleRoles(t.Context()); err != nil || fmt.Sprint(stale) != "[shop]" {
		t.Errorf("a member has gone: %v, %v", stale, err)
	}
	pass()
	if got := roles.roles["slipway/shop/viewer"].Users; fmt.Sprint(got) != "[bob größe]" {
		t.Errorf("viewers %v", got)
	}

	if err := b.cluster.Delete(t.Context(), b.get("shop")); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		pass()
	}
	if len(roles.roles) > 0 || b.folders.has("shop") {
		t.Errorf("left: %v", roles.roles)
	}
}

// TestRolesHoldNothingUp: a Jenkins without the plugin, or whose plugin fails, has its projects all the same.
func TestRolesHoldNothingUp(t *testing.T) {
	for name, tt := range map[string]struct {
		reason string
		roles  *itemRoles
		// later is what happens when the plugin was found.
		later error
		want  []string
	}{
		"no plugin": {"it is asked once", &itemRoles{}, nil, []string{"has"}},
		"away":      {"asked again, as nothing is known", &itemRoles{err: jenkins.ErrUnavailable}, nil, []string{"has", "has"}},
		"forbidden": {"somebody has to change that", &itemRoles{err: jenkins.ErrForbidden}, nil, []string{"has"}},
		"failing":   {"tried with each pass", &itemRoles{there: true, roles: map[string]jenkins.Role{}}, jenkins.ErrInternal, []string{"has", "put", "put"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, project("shop", "ann"))
			b.r.Roles = tt.roles
			if _, err := b.pass("shop"); err != nil { // makes the namespace and more
				t.Fatal(err)
			}
			tt.roles.take()
			b.r.plugin.asked = time.Time{}
			if tt.later != nil {
				if !b.r.hasRoleStrategy(t.Context()) {
					t.Fatal("the plugin is not found")
				}
				tt.roles.err = tt.later
				p := b.get("shop")
				delete(p.Annotations, RolesAnnotation)
				if err := b.cluster.Update(t.Context(), p); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				if _, err := b.pass("shop"); err != nil {
					t.Errorf("%s: %v", tt.reason, err)
				}
			}
			if diff := cmp.Diff(tt.want, tt.roles.take()); diff != "" {
				t.Errorf("%s:\n%s", tt.reason, diff)
			}
			if got := ready(b.get("shop")); got != "True/Synced/successful" {
				t.Errorf("the project is %s", got)
			}
		})
	}
}
