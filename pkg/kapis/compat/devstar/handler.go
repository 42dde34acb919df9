// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package devstar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/emicklei/go-restful/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	devcontainerv1 "github.com/slipway-dev/slipway/pkg/apis/devcontainer/v1"
	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/sshkeys"
)

// Access is what a user wants to do with a resource.
type Access struct {
	// Verb is a verb of Kubernetes' RBAC.
	Verb string
	// Group and Resource name the kind; Namespace and Name the object.
	Group, Resource, Namespace, Name string
}

// Config of the face. All functions and readers are required.
type Config struct {
	// Reader reads GitRepositories and DevcontainerApps, from a cache.
	Reader client.Reader
	// ClientFor gives a client that acts as the user of the request.
	ClientFor func(ctx context.Context) (client.WithWatch, error)
	// UserFrom gives the user's name; false if the request is anonymous.
	UserFrom func(ctx context.Context) (string, bool)
	// Allowed tells if the user of the request may do something.
	Allowed func(ctx context.Context, access Access) (bool, error)
	// Host is what clients connect to; the node's address if empty.
	Host string
	// DefaultImage is the dev container's image where the GitRepository names none.
	DefaultImage string
	// KeyBits is the length of temporary keys. Default 2048, which is also the least.
	KeyBits int
	// PageSize is the default and greatest size of a page. Default 30.
	PageSize int
	// WaitTimeout bounds the wait for readiness. Default 50 s.
	WaitTimeout time.Duration
}

// The place and the user of a dev container's shell.
const (
	username = "root"
	workDir  = "/data"
)

// maxRepoIDDigits keeps numbers within 63 bits.
const maxRepoIDDigits = 18

// Handler answers the face's calls.
type Handler struct {
	config Config
}

// New checks the configuration and gives the face.
func New(config Config) (*Handler, error) {
	if config.Reader == nil || config.ClientFor == nil || config.UserFrom == nil || config.Allowed == nil {
		return nil, errors.New("devstar: Reader, ClientFor, UserFrom and Allowed are required")
	}
	if config.KeyBits == 0 {
		config.KeyBits = 2048
	}
	if config.PageSize <= 0 {
		config.PageSize = 30
	}
	if config.WaitTimeout <= 0 {
		config.WaitTimeout = 50 * time.Second
	}
	return &Handler{config: config}, nil
}

func (h *Handler) newKeyPair(request *restful.Request, response *restful.Response) {
	if _, ok := h.user(request, response); !ok {
		return
	}
	size := strconv.Itoa(h.config.KeyBits)
	pair, err := sshkeys.GenerateUserKeyPair(h.config.KeyBits)
	if err != nil {
		write(response, request.Request, Envelope{Code: CodeKeyPairFailed, Msg: messages[CodeKeyPairFailed],
			Data: ErrorData{ErrorMsg: "Failed to generate for SSH Key: " + err.Error(), KeySize: size}})
		return
	}
	h.ok(request, response, KeyPair{KeySize: size, PrivateKeyPem: pair.PrivatePEM,
		PublicKeyFingerprint: pair.AuthorizedKey, PublicKeyPem: pair.PublicPEM})
}

func (h *Handler) create(request *restful.Request, response *restful.Response) {
	user, ok := h.user(request, response)
	if !ok {
		return
	}
	ctx := request.Request.Context()
	body, err := decode(request.Request.Body)
	if err != nil {
		h.fail(request, response, CodeInvalidParameters, err)
		return
	}
	repository, err := h.repository(ctx, body.RepoID)
	if err != nil {
		h.fail(request, response, CodeCreateFailed, err)
		return
	}
	if err := h.ensure(ctx, user, repository, body.SSHPublicKeyList); err != nil {
		h.fail(request, response, CodeCreateFailed, err)
		return
	}
	h.ok(request, response, nil)
}

// decode reads a create request and checks what can be checked without the cluster.
func decode(body io.Reader) (*CreateRequest, error) {
	decoder := json.NewDecoder(body)
	decoder.DisallowUnknownFields()
	request := &CreateRequest{}
	if err := decoder.Decode(request); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, invalid("the body is larger than %d bytes", tooLarge.Limit)
		}
		return nil, invalid("the body is not the expected JSON object {\"repoId\": \"…\", \"sshPublicKeyList\": […]}: %v", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, invalid("the body goes on after its JSON object")
	}
	if _, err := parseRepoID(request.RepoID); err != nil {
		return nil, err
	}
	for i, key := range request.SSHPublicKeyList {
		parsed, err := sshkeys.ParseAuthorizedKey(key)
		if err != nil {
			return nil, invalid("sshPublicKeyList[%d]: %v", i, err)
		}
		request.SSHPublicKeyList[i] = parsed.Line()
	}
	return request, nil
}

// ensure makes the dev container or adds the keys to the one that is there: the call can be
// repeated. The object's name follows from user and repository, so that two calls at once cannot
// make two.
func (h *Handler) ensure(ctx context.Context, user string, repository *devopsv1alpha3.GitRepository, keys []string) error {
	asUser, err := h.config.ClientFor(ctx)
	if err != nil {
		return fmt.Errorf("Failed to act for %s in DevContainer Service: %w", user, err) //nolint:staticcheck // DevStar's sentence
	}
	image := repository.Annotations[devcontainerv1.ImageAnnotation]
	if image == "" {
		image = h.config.DefaultImage
	}
	if image == "" {
		return invalid("the repository names no image (annotation %s) and the server has no default one", devcontainerv1.ImageAnnotation)
	}
	app := newApp(user, repository, image, keys)
	err = asUser.Create(ctx, app)
	if !apierrors.IsAlreadyExists(err) {
		return service("create", err)
	}
	existing := &devcontainerv1.DevcontainerApp{}
	if err := asUser.Get(ctx, client.ObjectKeyFromObject(app), existing); err != nil {
		return service("read", err)
	}
	if existing.Annotations[devcontainerv1.OwnerAnnotation] != user {
		return invalid("a dev container named %s exists and belongs to somebody else", app.Name)
	}
	if !existing.DeletionTimestamp.IsZero() {
		return invalid("the dev container of the repository is being deleted: try again when it is gone")
	}
	before := existing.DeepCopy()
	for _, key := range keys {
		if !slices.Contains(existing.Spec.StatefulSet.SSHPublicKeyList, key) {
			existing.Spec.StatefulSet.SSHPublicKeyList = append(existing.Spec.StatefulSet.SSHPublicKeyList, key)
		}
	}
	// The lock keeps two calls at once from losing each other's key.
	return service("add keys", asUser.Patch(ctx, existing, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})))
}

func (h *Handler) open(request *restful.Request, response *restful.Response) {
	user, ok := h.user(request, response)
	if !ok {
		return
	}
	ctx := request.Request.Context()
	wait, err := parseBool("wait", request.QueryParameter("wait"))
	if err != nil {
		h.fail(request, response, CodeInvalidParameters, err)
		return
	}
	app, repository, err := h.find(ctx, user, request.QueryParameter("repoId"))
	if err != nil {
		h.fail(request, response, CodeOpenFailed, err)
		return
	}
	if !app.Status.Ready && wait {
		if app, err = h.waitReady(ctx, app); err != nil {
			h.fail(request, response, CodeOpenFailed, err)
			return
		}
	}
	if !app.Status.Ready {
		h.fail(request, response, CodeOpenFailed, notReady(app))
		return
	}
	container := h.convert(app, repository)
	container.Port = app.Status.NodePortAssigned
	h.ok(request, response, container)
}

// waitReady blocks until the dev container is ready, is gone, or the time is over.
func (h *Handler) waitReady(ctx context.Context, app *devcontainerv1.DevcontainerApp) (*devcontainerv1.DevcontainerApp, error) {
	timeout, cancel := context.WithTimeout(ctx, h.config.WaitTimeout)
	defer cancel()
	key := client.ObjectKeyFromObject(app)
	asUser, err := h.config.ClientFor(ctx)
	if err != nil {
		return nil, service("act as the user", err)
	}
	last := app
	// A watch may end at any time: then it is begun again, and what happened meanwhile is read.
	for timeout.Err() == nil {
		stream, err := asUser.Watch(timeout, &devcontainerv1.DevcontainerAppList{},
			client.InNamespace(key.Namespace), client.MatchingFields{"metadata.name": key.Name})
		if err != nil {
			return nil, service("watch", err)
		}
		current := &devcontainerv1.DevcontainerApp{}
		err = asUser.Get(timeout, key, current)
		deleted := apierrors.IsNotFound(err) || err == nil && current.UID != app.UID
		if err == nil && !deleted && !current.Status.Ready {
			current, deleted = untilReady(timeout, stream, current)
		}
		stream.Stop()
		switch {
		case deleted:
			return nil, errors.New("DevContainer was deleted while it was waited for")
		case err != nil && timeout.Err() == nil:
			return nil, service("read", err)
		case err == nil && current.Status.Ready:
			return current, nil
		case err == nil:
			last = current
		}
	}
	return nil, fmt.Errorf("%w (waited %s)", notReady(last), h.config.WaitTimeout)
}

// untilReady reads a watch until the object is ready or deleted, the watch ends or the time is over,
// and gives the object as last seen.
func untilReady(ctx context.Context, stream watch.Interface, last *devcontainerv1.DevcontainerApp) (*devcontainerv1.DevcontainerApp, bool) {
	for {
		select {
		case <-ctx.Done():
			return last, false
		case event, ok := <-stream.ResultChan():
			if !ok || event.Type == watch.Error {
				return last, false
			}
			if event.Type == watch.Deleted {
				return last, true
			}
			if app, isApp := event.Object.(*devcontainerv1.DevcontainerApp); isApp {
				if last = app; app.Status.Ready {
					return last, false
				}
			}
		}
	}
}

func (h *Handler) list(request *restful.Request, response *restful.Response) {
	user, ok := h.user(request, response)
	if !ok {
		return
	}
	ctx := request.Request.Context()
	page, err := parseInt("page", request.QueryParameter("page"), 1)
	if err != nil {
		h.fail(request, response, CodeInvalidParameters, err)
		return
	}
	size, err := parseInt("page_size", request.QueryParameter("page_size"), h.config.PageSize)
	if err != nil {
		h.fail(request, response, CodeInvalidParameters, err)
		return
	}
	size = min(size, h.config.PageSize)
	apps, err := h.appsOf(ctx, user)
	if err != nil {
		h.fail(request, response, CodeListFailed, err)
		return
	}
	result := UserDevContainers{UserID: userID(user), Username: user, DevContainers: []DevContainer{}, Page: page, PageSize: size,
		ItemTotalNum: len(apps), PageTotalNum: (len(apps) + size - 1) / size}
	if page <= result.PageTotalNum {
		for i := (page - 1) * size; i < min(page*size, len(apps)); i++ {
			repository, err := h.repositoryOf(ctx, &apps[i])
			if err != nil {
				h.fail(request, response, CodeListFailed, err)
				return
			}
			result.DevContainers = append(result.DevContainers, h.convert(&apps[i], repository))
		}
	}
	h.ok(request, response, result)
}

// appsOf gives a user's dev containers in namespaces that the user may still read, newest first.
func (h *Handler) appsOf(ctx context.Context, user string) ([]devcontainerv1.DevcontainerApp, error) {
	var list devcontainerv1.DevcontainerAppList
	if err := h.config.Reader.List(ctx, &list, client.MatchingLabels{devcontainerv1.OwnerLabel: ownerLabel(user)}); err != nil {
		return nil, service("list", err)
	}
	allowed := map[string]bool{}
	var apps []devcontainerv1.DevcontainerApp
	for _, app := range list.Items {
		if app.Annotations[devcontainerv1.OwnerAnnotation] != user {
			continue
		}
		if _, known := allowed[app.Namespace]; !known {
			ok, err := h.config.Allowed(ctx, Access{Verb: "list", Group: devcontainerv1.GroupName, Resource: devcontainerv1.ResourceName, Namespace: app.Namespace})
			if err != nil {
				return nil, service("authorize", err)
			}
			allowed[app.Namespace] = ok
		}
		if allowed[app.Namespace] {
			apps = append(apps, app)
		}
	}
	sort.Slice(apps, func(i, j int) bool {
		a, b := &apps[i], &apps[j]
		if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
			return b.CreationTimestamp.Before(&a.CreationTimestamp)
		}
		return a.Namespace+"/"+a.Name < b.Namespace+"/"+b.Name
	})
	return apps, nil
}

func (h *Handler) remove(request *restful.Request, response *restful.Response) {
	user, ok := h.user(request, response)
	if !ok {
		return
	}
	ctx := request.Request.Context()
	app, _, err := h.find(ctx, user, request.QueryParameter("repoId"))
	if err != nil {
		h.fail(request, response, CodeDeleteFailed, err)
		return
	}
	asUser, err := h.config.ClientFor(ctx)
	if err != nil {
		h.fail(request, response, CodeDeleteFailed, service("act as the user", err))
		return
	}
	options := client.Preconditions{UID: &app.UID}
	if err := asUser.Delete(ctx, app, options); client.IgnoreNotFound(err) != nil {
		h.fail(request, response, CodeDeleteFailed, service("delete", err))
		return
	}
	h.ok(request, response, nil)
}

// find gives the user's dev container of a repository.
func (h *Handler) find(ctx context.Context, user, repoID string) (*devcontainerv1.DevcontainerApp, *devopsv1alpha3.GitRepository, error) {
	repository, err := h.repository(ctx, repoID)
	if err != nil {
		return nil, nil, err
	}
	asUser, err := h.config.ClientFor(ctx)
	if err != nil {
		return nil, nil, service("act as the user", err)
	}
	app := &devcontainerv1.DevcontainerApp{}
	// The read is live and made as the user: the answer to a create that has just come back must
	// not be "not found", and the cluster checks the rights once more.
	err = asUser.Get(ctx, client.ObjectKey{Namespace: repository.Namespace, Name: appName(user, repository)}, app)
	if apierrors.IsNotFound(err) || err == nil && app.Annotations[devcontainerv1.OwnerAnnotation] != user {
		return nil, nil, fmt.Errorf("DevContainer NOT found in repo '%s'(repoId = %s) of user '%s'(userId = %d)", repoName(repository), repoID, user, userID(user))
	}
	if err != nil {
		return nil, nil, service("read", err)
	}
	return app, repository, nil
}

// repository resolves a repository's number. A number that the user may not see and one that does
// not exist get the same answer.
func (h *Handler) repository(ctx context.Context, repoID string) (*devopsv1alpha3.GitRepository, error) {
	id, err := parseRepoID(repoID)
	if err != nil {
		return nil, err
	}
	var list devopsv1alpha3.GitRepositoryList
	if err := h.config.Reader.List(ctx, &list, client.MatchingLabels{devcontainerv1.RepoIDLabel: strconv.FormatInt(id, 10)}); err != nil {
		return nil, service("look up the repository", err)
	}
	var found []devopsv1alpha3.GitRepository
	for _, candidate := range list.Items {
		ok, err := h.config.Allowed(ctx, Access{Verb: "get", Group: devopsv1alpha3.GroupName, Resource: devopsv1alpha3.GitRepositoryResource,
			Namespace: candidate.Namespace, Name: candidate.Name})
		if err != nil {
			return nil, service("authorize", err)
		}
		if ok && candidate.DeletionTimestamp.IsZero() {
			found = append(found, candidate)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("no repository with repoId %d: it is the number in the label %s of a GitRepository that you may read", id, devcontainerv1.RepoIDLabel)
	case 1:
		return &found[0], nil
	default:
		return nil, fmt.Errorf("repoId %d is not unique: %s/%s and %s/%s carry it in the label %s", id,
			found[0].Namespace, found[0].Name, found[1].Namespace, found[1].Name, devcontainerv1.RepoIDLabel)
	}
}

// repositoryOf gives the repository that a dev container was made for; what is left of it in the
// dev container if it is gone.
func (h *Handler) repositoryOf(ctx context.Context, app *devcontainerv1.DevcontainerApp) (*devopsv1alpha3.GitRepository, error) {
	namespace, name, _ := strings.Cut(app.Annotations[devcontainerv1.RepoAnnotation], "/")
	repository := &devopsv1alpha3.GitRepository{}
	err := h.config.Reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, repository)
	if apierrors.IsNotFound(err) {
		repository.Name = name
		repository.Labels = map[string]string{devcontainerv1.RepoIDLabel: app.Labels[devcontainerv1.RepoIDLabel]}
		return repository, nil
	}
	return repository, service("read the repository", err)
}

// user gives the name of the caller; it answers for an anonymous one.
func (h *Handler) user(request *restful.Request, response *restful.Response) (string, bool) {
	user, ok := h.config.UserFrom(request.Request.Context())
	if !ok {
		WriteUnauthorized(response, request.Request, "")
	}
	return user, ok
}

func (h *Handler) ok(request *restful.Request, response *restful.Response, data any) {
	write(response, request.Request, Envelope{Code: CodeOK, Msg: messages[CodeOK], Data: data})
}

// fail answers with the code of err, or with code if it has none.
func (h *Handler) fail(request *restful.Request, response *restful.Response, code int, err error) {
	var coded *failure
	if errors.As(err, &coded) {
		code = coded.code
	}
	ctrl.LoggerFrom(request.Request.Context()).V(3).Info("a DevStar call failed", "code", code, "err", err)
	write(response, request.Request, Envelope{Code: code, Msg: messages[code], Data: ErrorData{ErrorMsg: err.Error()}})
}

func invalid(format string, args ...any) error {
	return &failure{code: CodeInvalidParameters, message: fmt.Sprintf(format, args...)}
}

// service words an error of the cluster as DevStar does; nil stays nil. What the cluster calls
// invalid is the caller's to mend.
func service(action string, err error) error {
	if err == nil {
		return nil
	}
	if apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) {
		return invalid("%v", err)
	}
	return fmt.Errorf("Failed to %s in DevContainer Service: %w", action, err) //nolint:staticcheck // DevStar's sentence
}

func notReady(app *devcontainerv1.DevcontainerApp) error {
	condition := meta.FindStatusCondition(app.Status.Conditions, devcontainerv1.ConditionReady)
	if condition == nil {
		condition = &metav1.Condition{Reason: "Pending", Message: "nothing is known of it yet"}
	}
	return fmt.Errorf("DevContainer is not ready: %s: %s", condition.Reason, condition.Message)
}
