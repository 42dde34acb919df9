// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package credential

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// raceDelay is how soon to look again when Jenkins has changed since it was asked.
const raceDelay = time.Second

// findProject reads the project whose namespace the Secret is in; there is none if the namespace only has its name.
func findProject(ctx context.Context, s *scope) error {
	project := &devopsv1alpha3.DevOpsProject{}
	err := s.Client.Get(ctx, client.ObjectKey{Name: s.secret.Namespace}, project)
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("get project %s: %w", s.secret.Namespace, err)
	case project.Status.AdminNamespace != "" && project.Status.AdminNamespace != project.Name:
		return nil
	}
	s.project = project
	return nil
}

// requireProject lets only the credentials of a project through. Elsewhere a Secret of these types is somebody else's matter: in a
// namespace that merely has the name of some folder, anybody could write that folder's credentials. Nothing is written on such a Secret.
func requireProject(_ context.Context, s *scope) error {
	if s.project == nil || !s.project.DeletionTimestamp.IsZero() {
		s.silent = true
		return reconcile.ErrStop
	}
	ready := meta.FindStatusCondition(s.project.Status.Conditions, devopsv1alpha3.ConditionReady)
	switch {
	case s.project.Status.AdminNamespace == "":
		// Not known to be its own. The project's coming wakes this credential.
		s.silent = true
		return reconcile.ErrStop
	case !s.project.OwnsFolder():
		// The folder of this name is somebody else's, or may be.
	case projectReady(s.project), s.secret.Annotations[devopsv1alpha3.CredentialSyncStatusAnnotation] == devopsv1alpha3.SyncStatusSuccessful:
		// Or it was ready once; that Jenkins is away now shows at the entry itself.
		return nil
	}
	message := "the project is not ready"
	if ready != nil {
		message += ": " + ready.Message
	}
	return reconcile.Wait(devopsv1alpha3.ReasonProjectNotReady, message, 0)
}

// readContent checks the Secret. One that is not what its type says is not sent: Jenkins takes anything, and builds fail later.
func readContent(_ context.Context, s *scope) error {
	var err error
	if s.content, err = newContent(s.secret, s.Options); err != nil {
		message := err.Error()
		if s.annotation(devopsv1alpha3.CredentialDataHashAnnotation) != "" {
			message += "; Jenkins keeps the former content"
		}
		return reconcile.Stall(devopsv1alpha3.ReasonInvalidCredential, message)
	}
	return nil
}

// ensureEntry writes the entry if its content changed or Jenkins does not have it.
func ensureEntry(ctx context.Context, s *scope) error {
	name, id := s.secret.Namespace, s.secret.Name
	synced := s.annotation(devopsv1alpha3.CredentialDataHashAnnotation) == s.content.hash &&
		s.annotation(devopsv1alpha3.CredentialSyncStatusAnnotation) == devopsv1alpha3.SyncStatusSuccessful
	if e := s.inventory.peek(name, id); synced && (!e.known || e.mark == s.content.mark) {
		s.written = true
		return nil
	}
	e, err := s.inventory.get(ctx, name, id)
	switch {
	case err != nil:
		return s.jenkinsError(err)
	case e.exists && e.mark == s.content.mark:
		// Written by a pass that could not save this.
		s.written = true
		return nil
	case e.exists && !s.mayReplace(e):
		return reconcile.Stall(devopsv1alpha3.ReasonCredentialTaken, fmt.Sprintf(
			"Jenkins has a credential %q in this project that was not made by Slipway; delete it there, or set the annotation %s to \"true\" on the Secret to have it replaced",
			id, devopsv1alpha3.CredentialAutoSyncAnnotation))
	case e.exists:
		err = s.Jenkins.UpdateCredential(ctx, name, s.content.entry)
	default:
		err = s.Jenkins.CreateCredential(ctx, name, s.content.entry)
	}
	s.inventory.noteCall(err)
	if err != nil {
		// Whatever happened, what was known is in doubt.
		s.inventory.forget(name)
		return s.jenkinsError(err)
	}
	s.inventory.wrote(name, id, s.content.mark, true)
	s.written = true
	return nil
}

// mayReplace tells if an entry is Slipway's, or is to be taken over.
func (s *scope) mayReplace(e entry) bool {
	return e.mark != "" || s.annotation(devopsv1alpha3.CredentialAutoSyncAnnotation) == "true"
}

// removeEntry deletes the entry of a Secret that is deleted, unless it is not Slipway's. A Jenkins that is away keeps the finalizer, or
// the entry would come to nobody's attention again; that there is no entry, or no folder any more, is what is wanted.
func removeEntry(ctx context.Context, s *scope) error {
	if s.project == nil || !s.project.OwnsFolder() {
		return nil
	}
	name, id := s.secret.Namespace, s.secret.Name
	e, err := s.inventory.get(ctx, name, id)
	switch {
	case errors.Is(err, jenkins.ErrNotFound):
		return nil
	case err != nil:
		return s.jenkinsError(err)
	case !e.exists:
		return nil
	case !s.mayReplace(e) && s.annotation(devopsv1alpha3.CredentialSyncStatusAnnotation) != devopsv1alpha3.SyncStatusSuccessful:
		return nil
	}
	err = s.Jenkins.DeleteCredential(ctx, name, id)
	s.inventory.noteCall(err)
	if err != nil {
		return s.jenkinsError(err)
	}
	s.inventory.wrote(name, id, "", false)
	return nil
}

// jenkinsError gives an error of Jenkins its reason.
func (s *scope) jenkinsError(err error) error {
	_, isKubeconfig := s.kind().(jenkins.Kubeconfig)
	switch {
	case jenkins.Away(err):
		return reconcile.Retry(devopsv1alpha3.ReasonJenkinsUnavailable, err)
	case errors.Is(err, jenkins.ErrConflict):
		return reconcile.Wait(devopsv1alpha3.ReasonCredentialTaken, "Jenkins got a credential of this id a moment ago", raceDelay)
	case errors.Is(err, jenkins.ErrNotFound):
		return reconcile.Retry(devopsv1alpha3.ReasonProjectNotReady, fmt.Errorf("the project's Jenkins folder or the entry is missing: %w", err))
	case errors.Is(err, jenkins.ErrInternal) && isKubeconfig:
		return reconcile.Stall(devopsv1alpha3.ReasonKindUnsupported,
			"Jenkins cannot keep a kubeconfig: it has no plugin kubernetes-cd; install it, or let Slipway keep kubeconfigs as secret texts")
	case errors.Is(err, jenkins.ErrInvalid):
		return reconcile.Stall(devopsv1alpha3.ReasonInvalidCredential, err.Error())
	}
	return reconcile.Retry(devopsv1alpha3.ReasonFailed, err)
}

func (s *scope) kind() jenkins.Credential {
	if s.content == nil {
		return nil
	}
	return s.content.entry.Credential
}
