// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devopsproject

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	"github.com/slipway-dev/slipway/pkg/reconcile"
)

// conflictRecheck is how often to look whether a folder that is in the way was renamed or deleted in Jenkins.
const conflictRecheck = 5 * time.Minute

// mark finds what says whose a folder is. It stands in the folder's description: that is kept when somebody saves the
// folder in Jenkins or a plugin does, which unknown elements and comments of its config.xml are not.
var mark = regexp.MustCompile(`\n?[^\n]*\[slipway\.dev/project-uid=([^\]\s]*)\]`)

// markOf is the mark of a project.
func markOf(project *devopsv1alpha3.DevOpsProject) string {
	return fmt.Sprintf("Folder of the DevOps project %s, kept by Slipway. Leave this line as it is: [slipway.dev/project-uid=%s]", project.Name, project.UID)
}

// ownerOf returns the UID in the mark of a folder, empty if it has none.
func ownerOf(description string) string {
	if m := mark.FindStringSubmatch(description); m != nil {
		return m[1]
	}
	return ""
}

// ensureFolder makes the Jenkins folder. It comes after the namespace, so that a project whose name is taken gets none.
// A folder that exists may hold anybody's jobs and credentials, which the project's users could then read and its
// deletion would delete: it is taken over only if it is the project's by its mark, or if somebody says so.
func ensureFolder(ctx context.Context, s *scope) error {
	folder, err := s.Jenkins.GetFolder(ctx, s.project.Name)
	switch {
	case errors.Is(err, jenkins.ErrNotFound):
		return s.createFolder(ctx)
	case errors.Is(err, jenkins.ErrConflict):
		return s.folderConflict(fmt.Sprintf("Jenkins has an item %q that is no folder; rename or delete it there, or make a project with another name", s.project.Name))
	case err != nil:
		return jenkinsError(err)
	case folder.Name != s.project.Name:
		return s.folderConflict(fmt.Sprintf(
			"Jenkins has a folder %q and does not tell upper from lower case; rename it there, or make a project with another name", folder.Name))
	}
	owner := ownerOf(folder.Description)
	switch {
	case owner == string(s.project.UID):
	case owner == "" && s.project.OwnsFolder(), s.project.Annotations[devopsv1alpha3.AdoptFolderAnnotation] == "true":
		// The mark was edited away, or somebody gives the folder to the project.
		text := strings.TrimSpace(mark.ReplaceAllString(folder.Description, "") + "\n" + markOf(s.project))
		if err := s.Jenkins.DescribeFolder(ctx, s.project.Name, text); err != nil {
			return jenkinsError(err)
		}
	case owner != "":
		return s.folderConflict(fmt.Sprintf("the Jenkins folder %q belongs to another project, of the UID %s: of another cluster, or of this one before it was restored; %s",
			folder.Name, owner, remedy))
	default:
		return s.folderConflict(fmt.Sprintf("Jenkins has a folder %q that the project did not make; %s", folder.Name, remedy))
	}
	s.folderReady()
	return nil
}

const remedy = "to take it over with all that is in it set the annotation " + devopsv1alpha3.AdoptFolderAnnotation +
	`: "true" on the project; else rename the folder in Jenkins, or make a project with another name`

func (s *scope) createFolder(ctx context.Context) error {
	err := s.Jenkins.CreateFolder(ctx, s.project.Name, markOf(s.project))
	switch {
	case errors.Is(err, jenkins.ErrConflict):
		// Made since the look, by somebody else or by a call of ours that got no answer: the next look tells.
		return reconcile.Wait(devopsv1alpha3.ReasonProjectNotReady, "the Jenkins folder was made a moment ago", conflictDelay)
	case err != nil:
		return jenkinsError(err)
	}
	s.folderReady()
	return nil
}

func (s *scope) folderReady() {
	s.setFolder(metav1.ConditionTrue, devopsv1alpha3.ReasonSynced, "the Jenkins folder is the project's own")
}

func (s *scope) folderConflict(message string) error {
	s.setFolder(metav1.ConditionFalse, devopsv1alpha3.ReasonFolderConflict, message)
	s.recheck = conflictRecheck
	return reconcile.Stall(devopsv1alpha3.ReasonFolderConflict, message)
}

func (s *scope) setFolder(status metav1.ConditionStatus, reason, message string) {
	reconcile.SetCondition(&s.project.Status.Conditions, metav1.Condition{
		Type: devopsv1alpha3.ConditionFolderReady, Status: status, ObservedGeneration: s.project.Generation, Reason: reason, Message: message,
	})
}

// deleteFolder deletes the folder if it is the project's. One that is not, or that became another's, stays.
func deleteFolder(ctx context.Context, s *scope) error {
	if s.project.Status.AdminNamespace == "" {
		// The namespace was taken, so no folder was made either.
		return nil
	}
	folder, err := s.Jenkins.GetFolder(ctx, s.project.Name)
	switch {
	case errors.Is(err, jenkins.ErrNotFound):
		return nil
	case errors.Is(err, jenkins.ErrConflict):
		folder = &jenkins.Folder{}
	case err != nil:
		return jenkinsError(err)
	}
	owner := ownerOf(folder.Description)
	if folder.Name != s.project.Name || owner != string(s.project.UID) && (owner != "" || !s.project.OwnsFolder()) {
		ctrl.LoggerFrom(ctx).Info("the Jenkins folder is not the project's and stays")
		return nil
	}
	if err := s.Jenkins.DeleteFolder(ctx, s.project.Name); err != nil {
		return jenkinsError(err)
	}
	return nil
}
