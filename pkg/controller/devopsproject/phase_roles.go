// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devopsproject

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
)

// Item roles of the plugin role-strategy, for people who also use Jenkins' own pages. The members of a project and what they may do are
// in the RoleBindings of its namespace; here they get roles on the project's folder and on nothing else. Where Jenkins does not have the
// plugin, one call an hour finds that out and nothing else is done. No recording of a Jenkins shows the plugin, see jenkins.Role.

// RolesAnnotation on a project is a hash of the roles that Jenkins has of it. Who removes it asks for them to be written again.
const RolesAnnotation = "slipway.dev/jenkins-roles"

const (
	// rolesRecheck is how often members are compared; Jenkins is only called if there are changes.
	rolesRecheck = 5 * time.Minute
	// pluginRecheck is how often Jenkins is asked whether it has the plugin.
	pluginRecheck = time.Hour
)

// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=rolebindings,verbs=list

// Roles keeps item roles in Jenkins; *jenkins.Client does.
type Roles interface {
	// HasRoleStrategy tells if Jenkins has the plugin and authorizes by it.
	HasRoleStrategy(ctx context.Context) (bool, error)
	// PutRole makes a role be as given.
	PutRole(ctx context.Context, r jenkins.Role) error
	// DeleteRoles removes roles; that there are none is a success.
	DeleteRoles(ctx context.Context, names ...string) error
}

// The levels of members. They are KubeSphere's roles in a project; each includes the next.
const (
	levelAdmin    = "admin"
	levelOperator = "operator"
	levelViewer   = "viewer"
)

var levels = []string{levelAdmin, levelOperator, levelViewer}

// levelOf gives the level of who is bound to a role, by its name: KubeSphere's roles of a project, Slipway's and Kubernetes' own.
var levelOf = map[string]string{
	levelAdmin: levelAdmin, DefaultAdminRole: levelAdmin, levelOperator: levelOperator, "edit": levelOperator, levelViewer: levelViewer, "view": levelViewer,
}

// permissions are Jenkins' of each level. Nobody may configure, create or delete jobs and credentials there: they come from Kubernetes.
func permissions(level string) []string {
	out := []string{"hudson.model.Item.Discover", "hudson.model.Item.Read", "hudson.model.View.Read"}
	if level != levelViewer {
		out = append(out, "hudson.model.Item.Build", "hudson.model.Item.Cancel", "hudson.model.Item.Workspace", "hudson.model.Run.Replay", "hudson.model.Run.Update")
	}
	if level == levelAdmin {
		out = append(out, "com.cloudbees.plugins.credentials.CredentialsProvider.View", "hudson.model.Run.Delete")
	}
	slices.Sort(out)
	return out
}

// roleName cannot be that of another project's role, as no project has a slash in its name.
func roleName(project, level string) string { return "slipway/" + project + "/" + level }

func roleNames(project string) []string {
	var out []string
	for _, level := range levels {
		out = append(out, roleName(project, level))
	}
	return out
}

// rolesOf makes the roles of a project from the bindings of its namespace. Who is in several levels has the highest of them.
func rolesOf(project string, bindings []rbacv1.RoleBinding) []jenkins.Role {
	best := map[string]int{}
	for _, b := range bindings {
		level := slices.Index(levels, levelOf[b.RoleRef.Name])
		if level < 0 {
			continue
		}
		for _, subject := range b.Subjects {
			// The names of system: are no people, and Jenkins has no such users.
			if subject.Kind != rbacv1.UserKind || subject.Name == "" || strings.HasPrefix(subject.Name, "system:") {
				continue
			}
			if now, there := best[subject.Name]; !there || level < now {
				best[subject.Name] = level
			}
		}
	}
	out := make([]jenkins.Role, len(levels))
	for i, level := range levels {
		out[i] = jenkins.Role{Name: roleName(project, level), Pattern: jenkins.FolderPattern(project), Permissions: permissions(level)}
	}
	for _, user := range slices.Sorted(maps.Keys(best)) {
		role := &out[best[user]]
		role.Users = append(role.Users, user)
	}
	return out
}

// hashRoles tells roles from others. There is no secret in them.
func hashRoles(roles []jenkins.Role) (string, error) {
	doc, err := json.Marshal(roles)
	if err != nil {
		return "", fmt.Errorf("hash roles: %w", err)
	}
	sum := sha256.Sum256(doc)
	return hex.EncodeToString(sum[:])[:32], nil
}

// plugin remembers whether Jenkins has it.
type plugin struct {
	mu    sync.Mutex
	there bool
	asked time.Time
}

// hasRoleStrategy tells if there are roles to keep. A Jenkins that does not answer has none for the moment: who waits for it is the
// folder, not the roles.
func (r *Reconciler) hasRoleStrategy(ctx context.Context) bool {
	if r.Roles == nil {
		return false
	}
	r.plugin.mu.Lock()
	defer r.plugin.mu.Unlock()
	if !r.plugin.asked.IsZero() && r.Now().Sub(r.plugin.asked) < pluginRecheck {
		return r.plugin.there
	}
	there, err := r.Roles.HasRoleStrategy(ctx)
	switch {
	case errors.Is(err, jenkins.ErrForbidden):
		// It has, and Slipway's user may not use it. Somebody has to change that in Jenkins.
		ctrl.LoggerFrom(ctx).Info("Jenkins has role-strategy but Slipway's user may not keep item roles", "error", err.Error())
	case err != nil:
		ctrl.LoggerFrom(ctx).V(1).Info("it is not known whether Jenkins has role-strategy", "error", err.Error())
		return false
	}
	if there != r.plugin.there {
		ctrl.LoggerFrom(ctx).Info("roles of projects are kept in Jenkins", "roleStrategy", there)
	}
	r.plugin.there, r.plugin.asked = there, r.Now()
	return there
}

// ensureRoles gives the members of the project their roles on its folder. What goes wrong in Jenkins is tried again later and holds
// nothing up: pipelines run without roles.
func ensureRoles(ctx context.Context, s *scope) error {
	if !s.hasRoleStrategy(ctx) {
		return nil
	}
	var bindings rbacv1.RoleBindingList
	if err := s.Reader.List(ctx, &bindings, client.InNamespace(s.project.Name)); err != nil {
		return fmt.Errorf("list RoleBindings of %s: %w", s.project.Name, err)
	}
	roles := rolesOf(s.project.Name, bindings.Items)
	hash, err := hashRoles(roles)
	if err != nil || s.project.Annotations[RolesAnnotation] == hash {
		return err
	}
	for _, role := range roles {
		if err := s.Roles.PutRole(ctx, role); err != nil {
			ctrl.LoggerFrom(ctx).Error(err, "keep a role in Jenkins", "role", role.Name)
			if s.recheck == 0 {
				s.recheck = rolesRecheck
			}
			return nil
		}
	}
	s.project.Annotations = merged(s.project.Annotations, map[string]string{RolesAnnotation: hash})
	return nil
}

// deleteRoles takes the roles of the project away: a later folder of this name is not theirs.
func deleteRoles(ctx context.Context, s *scope) error {
	if s.Roles == nil || s.project.Annotations[RolesAnnotation] == "" {
		return nil
	}
	err := s.Roles.DeleteRoles(ctx, roleNames(s.project.Name)...)
	if errors.Is(err, jenkins.ErrForbidden) {
		ctrl.LoggerFrom(ctx).Error(err, "the roles of the project stay in Jenkins")
		return nil
	}
	if err != nil {
		return jenkinsError(err)
	}
	return nil
}

// watchRoles lets projects be worked on whose members are others than Jenkins knows. RoleBindings are listed now and then instead of
// watched: there may be very many of them, and those of Jenkins' pages are few.
func (r *Reconciler) watchRoles(ctx context.Context, queue workqueue.TypedRateLimitingInterface[ctrl.Request]) error {
	if r.Roles == nil {
		return nil
	}
	go func() {
		ticker := time.NewTicker(rolesRecheck)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			stale, err := r.staleRoles(ctx)
			if err != nil {
				ctrl.LoggerFrom(ctx).Error(err, "compare the members of projects with Jenkins' roles")
			}
			for _, name := range stale {
				queue.Add(ctrl.Request{NamespacedName: client.ObjectKey{Name: name}})
			}
		}
	}()
	return nil
}

// staleRoles gives the projects whose roles in Jenkins are out of date.
func (r *Reconciler) staleRoles(ctx context.Context) ([]string, error) {
	if !r.hasRoleStrategy(ctx) {
		return nil, nil
	}
	var bindings rbacv1.RoleBindingList
	if err := r.Reader.List(ctx, &bindings); err != nil {
		return nil, fmt.Errorf("list RoleBindings: %w", err)
	}
	byNamespace := map[string][]rbacv1.RoleBinding{}
	for _, b := range bindings.Items {
		byNamespace[b.Namespace] = append(byNamespace[b.Namespace], b)
	}
	var projects devopsv1alpha3.DevOpsProjectList
	if err := r.Client.List(ctx, &projects); err != nil {
		return nil, fmt.Errorf("list projects: %w", err)
	}
	var stale []string
	for i := range projects.Items {
		p := &projects.Items[i]
		if !p.DeletionTimestamp.IsZero() || p.Status.AdminNamespace != p.Name {
			continue
		}
		hash, err := hashRoles(rolesOf(p.Name, byNamespace[p.Name]))
		if err != nil {
			return nil, err
		}
		if p.Annotations[RolesAnnotation] != hash {
			stale = append(stale, p.Name)
		}
	}
	return stale, nil
}
