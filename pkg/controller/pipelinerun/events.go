// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package pipelinerun

import (
	"time"

	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/jenkins"
	jenkinsevents "github.com/slipway-dev/slipway/pkg/jenkins/events"
)

// freshEvent is how old an event may be to show that events come.
const freshEvent = time.Minute

// news is what events and bulk queries say of a run's build. It saves questions; nothing becomes the
// end of a run by it.
type news struct {
	Sight
	// running says that the build is said to have begun, ended that it is said to have ended.
	running, ended bool
	// settling says that the build has its result and will be final in a moment.
	settling bool
	// start is when the build began; zero if it is not known.
	start time.Time
}

// heard lets through that there is an event of Jenkins. It notes the builds that ended: what is read of
// several of one job together takes one call.
func (r *Reconciler) heard() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(event.CreateEvent) bool { return false },
		DeleteFunc: func(event.DeleteEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			const key = devopsv1alpha3.JenkinsEventAnnotation
			text := e.ObjectNew.GetAnnotations()[key]
			if text == "" || text == e.ObjectOld.GetAnnotations()[key] {
				return false
			}
			run, ok := e.ObjectNew.(*devopsv1alpha3.PipelineRun)
			if !ok {
				return false
			}
			if note, ok := jenkinsevents.ParseNote(text); ok && note.Type == jenkinsevents.RunFinalized && run.Status.CompletionTime == nil {
				if s := (&scope{run: run}); s.locate() {
					r.endings.note(jobKey{s.folder, s.job}, note.Build)
				}
			}
			return true
		},
	}
}

// readNews gives what is known of the build without asking Jenkins. It notes the number of the build if
// that is news.
func (s *scope) readNews() news {
	n := news{Sight: s.Watcher.Sight(s.key())}
	n.start = n.Start
	text := s.run.Annotations[devopsv1alpha3.JenkinsEventAnnotation]
	note, _ := jenkinsevents.ParseNote(text)
	if text != s.past.told {
		s.past.told = text
		if age := s.Now().Sub(note.Time); age < freshEvent && age > -freshEvent {
			s.Watcher.Told()
		}
	}
	if s.build() == 0 {
		// The event was found to be the run's by whoever wrote it, but a user can write it, too: only the
		// run's own queue item leads to a build.
		switch mine := s.queueItem() > 0 && note.QueueItem == s.queueItem(); {
		case mine:
			s.started(&jenkins.Found{BuildNumber: note.Build})
		case n.Number > 0:
			s.started(&jenkins.Found{BuildNumber: n.Number})
		}
	}
	if note.Build != s.build() {
		note = jenkinsevents.Note{}
	}
	if n.Number != s.build() {
		n.Sight = Sight{}
	}
	n.running = n.Seen && n.Building || note.Type == jenkinsevents.RunStarted
	n.settling = note.Type == jenkinsevents.RunCompleted
	n.ended = n.Seen && !n.Building || note.Type == jenkinsevents.RunFinalized
	n.Missing = n.Missing || note.Type == jenkinsevents.RunDeleted
	if n.start.IsZero() {
		n.start = note.Start
	}
	return n
}
