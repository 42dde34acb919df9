// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/emicklei/go-restful/v3"
	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/apiserver/request"
	"github.com/slipway-dev/slipway/pkg/apiserver/response"
	"github.com/slipway-dev/slipway/pkg/authn/jwt"
	"github.com/slipway-dev/slipway/pkg/index"
	"github.com/slipway-dev/slipway/pkg/scheme"
	"github.com/slipway-dev/slipway/pkg/testing/envtest"
)

var testSecret = []byte("0123456789abcdef0123456789abcdef")

const devops = "/kapis/devops.kubesphere.io/v1alpha3"

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	os.Exit(envtest.Main(m))
}

// world is a server with everything around it faked. Users may do all in namespaces that begin with
// their name, and what is cluster-scoped; root may do everything.
type world struct {
	t      *testing.T
	kube   client.WithWatch
	config Config
	server *Server
}

// actAs records who writes.
type actAs struct {
	kube client.WithWatch
	last *string
}

func (c actAs) ClientFor(u user.Info) (client.WithWatch, error) {
	*c.last = u.GetName()
	return c.kube, nil
}

func newWorld(t *testing.T, change func(*Config), objects ...client.Object) *world {
	t.Helper()
	scheme := scheme.New()
	builder := fake.NewClientBuilder().WithScheme(scheme).WithObjects(withProjects(objects)...)
	for field, value := range index.Runs {
		builder = builder.WithIndex(&devopsv1alpha3.PipelineRun{}, field, value)
	}
	kube := builder.Build()
	// The fake has no authenticator: like Kubernetes, it answers that it does not know a token.
	kube = interceptor.NewClient(kube, interceptor.Funcs{
		Create: func(ctx context.Context, kube client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
			if _, ok := obj.(*authenticationv1.TokenReview); ok {
				return nil
			}
			return kube.Create(ctx, obj, opts...)
		},
	})
	w := &world{t: t, kube: kube}
	var last string
	w.config = Config{
		Reader: kube, Client: kube, Clients: actAs{kube, &last}, JWTSecret: testSecret,
		Authorizer: authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
			name := a.GetUser().GetName()
			if name == "root" || a.IsResourceRequest() && (a.GetNamespace() == "" || strings.HasPrefix(a.GetNamespace(), name)) {
				return authorizer.DecisionAllow, "", nil
			}
			return authorizer.DecisionDeny, "", nil
		}),
		Limits: Limits{},
		Faces: []Face{{
			Prefixes: []string{"/api/devcontainer"},
			Errors: response.ErrorWriterFunc(func(w http.ResponseWriter, _ *http.Request, status *metav1.Status) {
				_ = json.NewEncoder(w).Encode(map[string]any{"code": 1, "msg": status.Message})
			}),
			WebServices: func(Backend) ([]*restful.WebService, error) {
				ws := new(restful.WebService).Path("/api/devcontainer").Produces(restful.MIME_JSON)
				ws.Route(ws.GET("").To(func(req *restful.Request, resp *restful.Response) {
					u, _ := request.UserFrom(req.Request.Context())
					response.Write(resp.ResponseWriter, req.Request, 200, map[string]any{"code": 0, "user": u.GetName()})
				}).Operation("faceGet").Returns(200, "OK", response.Message{}))
				ws.Route(ws.GET("/panic").To(func(*restful.Request, *restful.Response) { panic("boom") }).Operation("facePanic").Returns(200, "OK", response.Message{}))
				return []*restful.WebService{ws}, nil
			},
		}},
	}
	if change != nil {
		change(&w.config)
	}
	completed, err := w.config.Complete()
	if err != nil {
		t.Fatalf("Complete: %v", err)
	}
	if w.server, err = New(completed); err != nil {
		t.Fatalf("New: %v", err)
	}
	return w
}

// withProjects adds the projects of the runs, which have their Jenkins folders.
func withProjects(objects []client.Object) []client.Object {
	known := map[string]bool{}
	for _, obj := range objects {
		if _, ok := obj.(*devopsv1alpha3.DevOpsProject); ok {
			known[obj.GetName()] = true
		}
	}
	all := slices.Clone(objects)
	for _, obj := range objects {
		if _, ok := obj.(*devopsv1alpha3.PipelineRun); !ok || known[obj.GetNamespace()] {
			continue
		}
		known[obj.GetNamespace()] = true
		project := &devopsv1alpha3.DevOpsProject{ObjectMeta: metav1.ObjectMeta{Name: obj.GetNamespace()}}
		project.Status.AdminNamespace = project.Name
		project.Status.Conditions = []metav1.Condition{{Type: devopsv1alpha3.ConditionFolderReady, Status: metav1.ConditionTrue}}
		all = append(all, project)
	}
	return all
}

// failing gives a client that answers every call with err.
func failing(kube client.WithWatch, err error) client.WithWatch {
	return interceptor.NewClient(kube, interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return err
		},
		List:   func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error { return err },
		Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error { return err },
		Update: func(context.Context, client.WithWatch, client.Object, ...client.UpdateOption) error { return err },
		Delete: func(context.Context, client.WithWatch, client.Object, ...client.DeleteOption) error { return err },
	})
}

// token gives a good token of a user.
func token(t *testing.T, name string) string {
	t.Helper()
	issuer, err := jwt.NewIssuer(testSecret, 0)
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := issuer.Issue(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// call is one request.
type call struct {
	method, path string
	// user sends a good token of this user; credential is sent as it is.
	user, credential string
	// body is sent as JSON.
	body        string
	contentType string
	header      map[string]string
}

func (w *world) request(c call) *http.Request {
	w.t.Helper()
	method := c.method
	if method == "" {
		method = http.MethodGet
	}
	var body io.Reader
	if c.body != "" {
		body = strings.NewReader(c.body)
	}
	r := httptest.NewRequest(method, c.path, body)
	if c.user != "" {
		r.Header.Set("Authorization", "Bearer "+token(w.t, c.user))
	}
	if c.credential != "" {
		r.Header.Set("Authorization", c.credential)
	}
	if c.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.contentType != "" {
		r.Header.Set("Content-Type", c.contentType)
	}
	for name, value := range c.header {
		r.Header.Set(name, value)
	}
	return r
}

// do sends a request through the whole chain.
func (w *world) do(c call) *httptest.ResponseRecorder {
	w.t.Helper()
	recorder := httptest.NewRecorder()
	w.server.Handler().ServeHTTP(recorder, w.request(c))
	return recorder
}

// decode reads an answer.
func decode[T any](t *testing.T, w *httptest.ResponseRecorder) T {
	t.Helper()
	var value T
	decoder := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	if err := decoder.Decode(&value); err != nil {
		t.Fatalf("answer %d is not the JSON that was expected: %v: %.500s", w.Code, err, w.Body)
	}
	return value
}

// services gives the web services of a server, for tests over all routes.
func (w *world) services() []*restful.WebService {
	w.t.Helper()
	services, err := w.server.webServices()
	if err != nil {
		w.t.Fatal(err)
	}
	return slices.Clone(services)
}
