// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

// Package hook takes the events of source code servers and lets the pipelines of the repository know: a
// pipeline with branches is asked to look for them, and one without is started if it has the annotation
// scm.devops.kubesphere.io.
//
// The senders are no users. A delivery counts as far as its signature reaches: one with the secret of the
// server goes to all pipelines of the repository, one with the secret of a pipeline or of a Webhook object
// to those that the secret belongs to. Deliveries are answered alike whether there is a pipeline or not.
//
// Nothing in a delivery is taken for true: it makes Jenkins look at the repository, at most. What it does
// can be done twice without harm, so that replicas need not know of each other.
package hook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/lru"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/scm"
	"github.com/slipway-dev/slipway/pkg/scm/repourl"
)

// The failures of a Receiver besides those of Parse.
var (
	// ErrUnsigned says that a delivery carries no signature or token.
	ErrUnsigned = errors.New("the delivery is not signed")
	// ErrSignature says that no secret fits the signature or token.
	ErrSignature = errors.New("the signature fits no secret")
	// ErrBusy says that too many deliveries wait.
	ErrBusy = errors.New("too many events wait")
	// ErrKnown says that a delivery was taken before: nothing is wrong, and nothing happens.
	ErrKnown = errors.New("this event was taken before and starts nothing again; to run a pipeline again, start it")
)

const (
	// maxWaiting bounds the deliveries that are taken and not dealt with.
	maxWaiting = 1024
	// workers is how many are dealt with at once.
	workers = 8
	// applyTimeout bounds the work on one.
	applyTimeout = 45 * time.Second
	// remembered is how many deliveries are known not to need dealing with again.
	remembered = 8192
)

// retries are for Kubernetes being away for a moment, as when it is restarted: senders do not send again.
var retries = wait.Backoff{Duration: 250 * time.Millisecond, Factor: 3, Jitter: 0.1, Steps: 6}

// Options say what a Receiver works with.
type Options struct {
	// Reader is the informer cache, with the fields of index.RegisterSCM.
	Reader client.Reader
	// Client reads Secrets and writes with the server's own rights.
	Client client.Client
	// Secret is what all servers sign with; empty for none.
	Secret []byte
	// AllowUnsigned takes deliveries that are not signed, as KubeSphere does, for pipelines that have no
	// secret of their own.
	AllowUnsigned bool
	// Servers knows the addresses of servers with names. It may be nil.
	Servers *scm.Directory
	// Now tells the time. Nil: time.Now.
	Now func() time.Time
}

// Receiver takes deliveries.
type Receiver struct {
	opts    Options
	secrets *secrets
	// bodies bounds the memory of deliveries that are being read, and patience is how long one waits for it.
	bodies   *semaphore.Weighted
	patience time.Duration
	// retries says when work that failed is tried again.
	retries wait.Backoff
	// waiting and working bound the deliveries that are taken and dealt with.
	waiting, working chan struct{}
	// known has the deliveries that were taken.
	known *lru.Cache

	mu sync.Mutex
	// shares are those of the projects that deliveries are dealt with for.
	shares map[string]*share
}

// New makes a receiver.
func New(o Options) *Receiver {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Servers == nil {
		o.Servers = scm.NewDirectory(nil, nil, "")
	}
	return &Receiver{opts: o, bodies: semaphore.NewWeighted(maxBodies), patience: bodyPatience, retries: retries, secrets: newSecrets(o.Client, o.Now), known: lru.New(remembered),
		shares: map[string]*share{}, waiting: make(chan struct{}, maxWaiting), working: make(chan struct{}, workers)}
}

// Configured tells if any delivery could be taken by the settings of the server alone.
func (r *Receiver) Configured() bool { return len(r.opts.Secret) > 0 || r.opts.AllowUnsigned }

// Deliver takes a delivery of a source code server. It returns before the delivery has been dealt with.
// The errors are ErrMalformed, ErrUnsigned, ErrSignature, ErrBusy, ErrKnown, and failures of the cache.
func (r *Receiver) Deliver(ctx context.Context, h http.Header, body []byte) error {
	provider := ProviderOf(h)
	if provider == "" {
		return fmt.Errorf("%w: no header names a kind of event that is known", ErrMalformed)
	}
	sig, signed := signatureOf(provider, h, body)
	switch {
	case !signed && !r.opts.AllowUnsigned:
		return ErrUnsigned
	case !signed && carriesSignature(h):
		return ErrSignature
	}
	event, err := Parse(h, body)
	other := errors.Is(err, ErrOther)
	if err != nil && !other {
		return err
	}
	if err := r.addServers(ctx, event); err != nil {
		return err
	}
	reach, err := r.granted(ctx, event, sig, signed)
	if err != nil || other {
		return err
	}
	event.Said = saidBy(event, sig)
	key := deliveryKey(event, sig)
	if key != "" {
		if _, known := r.known.Get(key); known {
			return ErrKnown
		}
	}
	return r.later(ctx, task{key: key, project: reach.project(), work: func(ctx context.Context) error { return r.apply(ctx, event, reach) }})
}

// carriesSignature tells if a delivery has a signature that could not be read.
func carriesSignature(h http.Header) bool {
	for _, name := range []string{"X-Hub-Signature-256", "X-Hub-Signature", "X-Gitea-Signature", "X-Gitlab-Token"} {
		if h.Get(name) != "" {
			return true
		}
	}
	return false
}

// saidBy identifies what a delivery says. The name of a delivery is not signed: who has recorded one could send it again
// and again by other names. So what is signed counts, if it differs from event to event; Bitbucket Cloud tells neither
// the time of a push nor a number.
func saidBy(e *Event, s signature) string {
	if s.mac == nil || e.Provider == scm.BitbucketCloud {
		return e.Delivery
	}
	sum := sha256.Sum256(s.body)
	return hex.EncodeToString(sum[:16])
}

// deliveryKey tells deliveries apart. The body and the signature are a part of it: servers tell all webhooks of a
// repository of an event by one name and in the same words, and each of their secrets reaches other pipelines.
func deliveryKey(e *Event, s signature) string {
	if e.Said == "" {
		return ""
	}
	sum := sha256.Sum256(s.body)
	return string(e.Provider) + "\n" + e.Said + "\n" + string(sum[:]) + string(s.token[:]) + string(s.mac)
}

// addServers adds the keys that need the list of servers: those of GitLab servers that pipelines name, and
// of Bitbucket Servers that do not tell their address.
func (r *Receiver) addServers(ctx context.Context, e *Event) error {
	switch {
	case e.Provider == scm.GitLab && e.Server != "":
		servers, err := r.opts.Servers.List(ctx, scm.GitLab)
		if err != nil {
			return err
		}
		// Pipelines that name no server mean the public one, unless another is called default.
		named := map[string]string{"": "https://gitlab.com", "default": "https://gitlab.com"}
		for _, s := range servers {
			named[s.Name] = s.URL
			if s.Name == "default" {
				named[""] = s.URL
			}
		}
		for name, address := range named {
			if sameServer(address, e.Server) {
				e.Keys = append(e.Keys, repourl.Named(name, e.Path))
			}
		}
	case e.Provider == scm.BitbucketServer && e.Server == "" && len(e.Keys) == 0:
		servers, err := r.opts.Servers.List(ctx, scm.BitbucketServer)
		if err != nil {
			return err
		}
		for _, s := range servers {
			host, _, _ := strings.Cut(repourl.Host(s.URL), ":")
			e.Keys = append(e.Keys, stashKeys(s.URL, e.Path)...)
			// 7999 is where Bitbucket Server listens for SSH unless it is told otherwise.
			e.is("ssh://"+host+":7999/"+e.Path, "ssh://"+host+"/"+e.Path)
		}
	}
	return nil
}

// sameServer compares the addresses of two servers. Whether they are written with http or https does not
// count: a server behind a proxy may not know.
func sameServer(a, b string) bool {
	x, y := repourl.Of(strings.TrimRight(a, "/")+"/x"), repourl.Of(strings.TrimRight(b, "/")+"/x")
	return x != "" && x == y
}

// pipelines gives the pipelines of a repository. They are the cache's own and must not be changed.
func (r *Receiver) pipelines(ctx context.Context, keys []repourl.Key) ([]*devopsv1alpha3.Pipeline, error) {
	var out []*devopsv1alpha3.Pipeline
	seen := map[client.ObjectKey]bool{}
	for _, key := range keys {
		list := &devopsv1alpha3.PipelineList{}
		if err := r.opts.Reader.List(ctx, list, client.MatchingFields{index.PipelineRepository: string(key)}, client.UnsafeDisableDeepCopy); err != nil {
			return nil, fmt.Errorf("find the pipelines of a repository: %w", err)
		}
		for i := range list.Items {
			p := &list.Items[i]
			if name := client.ObjectKeyFromObject(p); !seen[name] && p.DeletionTimestamp.IsZero() {
				seen[name] = true
				out = append(out, p)
			}
		}
	}
	return out, nil
}
