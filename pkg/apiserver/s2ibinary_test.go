// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	devopsv1alpha1 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha1"
	"github.com/slipway-dev/slipway/pkg/kapis/devops/v1alpha2/s2ibinary"
	"github.com/slipway-dev/slipway/pkg/objectstore"
)

const binaries = "/kapis/devops.kubesphere.io/v1alpha2/namespaces/ann-dev/s2ibinaries/"

func sumOf(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

func binary(name string) *devopsv1alpha1.S2iBinary {
	return &devopsv1alpha1.S2iBinary{ObjectMeta: metav1.ObjectMeta{Namespace: "ann-dev", Name: name}}
}

func newBinaryWorld(t *testing.T, change func(*s2ibinary.Options), objects ...client.Object) (*world, *objectstore.Store) {
	t.Helper()
	store := testStore(t)
	return newWorld(t, func(c *Config) {
		c.Binaries = s2ibinary.Options{Objects: store, MaxBytes: 40 << 20, Stream: true}
		if change != nil {
			change(&c.Binaries)
		}
	}, append(objects, binary("app"))...), store
}

func (w *world) binary(name string) *devopsv1alpha1.S2iBinary {
	w.t.Helper()
	b := &devopsv1alpha1.S2iBinary{}
	if err := w.kube.Get(context.Background(), client.ObjectKey{Namespace: "ann-dev", Name: name}, b); err != nil {
		w.t.Fatal(err)
	}
	return b
}

func (w *world) sendFile(path string, fields ...string) (int, string) {
	body, contentType := upload(w.t, fields...)
	got := w.do(call{method: http.MethodPut, path: path, user: "ann", body: body, contentType: contentType})
	return got.Code, got.Body.String()
}

func keys(t *testing.T, store *objectstore.Store) []string {
	t.Helper()
	list, err := store.List(t.Context(), "s2ibinaries/")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, o := range list {
		all = append(all, o.Key)
	}
	return all
}

func TestS2iBinary(t *testing.T) {
	for _, family := range []string{"namespaces", "devops"} {
		w, store := newBinaryWorld(t, nil)
		path := "/kapis/devops.kubesphere.io/v1alpha2/" + family + "/ann-dev/s2ibinaries/app/file"
		// More than one part of an upload in parts.
		content := strings.Repeat("0123456789abcdef", 20<<16)
		if code, body := w.sendFile(path, "md5", strings.ToUpper(sumOf(content)), "s2ibinary", content); code != 200 || !strings.Contains(body, `"phase":"Ready"`) {
			t.Fatalf("%d %.300s", code, body)
		}
		b := w.binary("app")
		if b.Spec.FileName != "app.jar" || b.Spec.MD5 != sumOf(content) || b.Spec.Size != "20M" || b.Spec.UploadTimeStamp == nil ||
			!strings.HasSuffix(b.Spec.DownloadURL, path+"/app.jar") || !controllerutil.ContainsFinalizer(b, devopsv1alpha1.S2iBinaryFinalizer) ||
			b.Labels[devopsv1alpha1.S2iBinaryLabel] != "app" || b.Annotations[devopsv1alpha1.S2iBinaryUploadAnnotation] != "" {
			t.Errorf("%+v", b)
		}
		got := w.do(call{path: path + "/app.jar", user: "ann"})
		if got.Code != 200 || got.Body.String() != content || got.Header().Get("X-Content-Type-Options") != "nosniff" || got.Header().Get("Content-Disposition") != "attachment; filename=app.jar" {
			t.Errorf("download: %d %v, %d bytes", got.Code, got.Header(), got.Body.Len())
		}
		// The same name again replaces; the field md5 may come last.
		if code, body := w.sendFile(path, "s2ibinary", "second", "md5", sumOf("second")); code != 200 {
			t.Fatalf("%d %s", code, body)
		}
		if got := w.do(call{path: path + "/app.jar", user: "ann"}); got.Body.String() != "second" {
			t.Errorf("after the second upload: %.50s", got.Body)
		}
		if all := keys(t, store); len(all) != 1 {
			t.Errorf("the first file is still there: %v", all)
		}
	}
}

func TestS2iBinaryPresigned(t *testing.T) {
	w, _ := newBinaryWorld(t, func(o *s2ibinary.Options) { o.Stream = false })
	if code, body := w.sendFile(binaries+"app/file", "s2ibinary", "content"); code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	got := w.do(call{path: binaries + "app/file/app.jar", user: "ann"})
	if got.Code != http.StatusFound {
		t.Fatalf("%d %s", got.Code, got.Body)
	}
	resp, err := http.Get(got.Header().Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if body, _ := io.ReadAll(resp.Body); string(body) != "content" || !strings.Contains(resp.Header.Get("Content-Disposition"), "app.jar") {
		t.Errorf("%d %q %v", resp.StatusCode, body, resp.Header)
	}
}

func TestS2iBinaryErrors(t *testing.T) {
	uploading := binary("busy")
	uploading.Status.Phase = devopsv1alpha1.S2iBinaryUploading
	uploading.Annotations = map[string]string{devopsv1alpha1.S2iBinaryUploadAnnotation: "other/" + time.Now().UTC().Format(time.RFC3339)}
	crashed := binary("crashed")
	crashed.Status.Phase = devopsv1alpha1.S2iBinaryUploading
	crashed.Annotations = map[string]string{devopsv1alpha1.S2iBinaryUploadAnnotation: "other/" + time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)}
	stolen := binary("stolen")
	stolen.Spec.FileName, stolen.Status.Phase = "app.jar", devopsv1alpha1.S2iBinaryReady
	stolen.Annotations = map[string]string{devopsv1alpha1.S2iBinaryKeyAnnotation: "runs/other/log.txt"}
	w, store := newBinaryWorld(t, func(o *s2ibinary.Options) { o.MaxBytes = 1 << 20 }, uploading, crashed, stolen)
	for name, tc := range map[string]struct {
		path   string
		fields []string
		want   int
	}{
		"md5":        {"app/file", []string{"md5", sumOf("other"), "s2ibinary", "content"}, 400},
		"late md5":   {"app/file", []string{"s2ibinary", "content", "md5", sumOf("other")}, 400},
		"bad md5":    {"app/file", []string{"md5", "xyz", "s2ibinary", "content"}, 400},
		"no file":    {"app/file", []string{"md5", sumOf("x")}, 400},
		"two files":  {"app/file", []string{"s2ibinary", "a", "s2ibinary", "b"}, 400},
		"field":      {"app/file", []string{"file", "a"}, 400},
		"large":      {"app/file", []string{"s2ibinary", strings.Repeat("x", 2<<20)}, 413},
		"just large": {"app/file", []string{"s2ibinary", strings.Repeat("x", 1<<20+1)}, 413},
		"unknown":    {"nope/file", []string{"s2ibinary", "a"}, 404},
		"busy":       {"busy/file", []string{"s2ibinary", "a"}, 409},
		"crashed":    {"crashed/file", []string{"s2ibinary", "a"}, 200},
		"at limit":   {"crashed/file", []string{"s2ibinary", strings.Repeat("x", 1<<20)}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			if code, body := w.sendFile(binaries+tc.path, tc.fields...); code != tc.want {
				t.Errorf("got %d %.300s, want %d", code, body, tc.want)
			}
		})
	}
	if got := w.binary("app").Status.Phase; got != devopsv1alpha1.S2iBinaryUploadFailed {
		t.Errorf("phase %s", got)
	}
	for _, key := range keys(t, store) {
		if strings.HasPrefix(key, "s2ibinaries/ann-dev/app/") {
			t.Errorf("a file of a failed upload is left: %s", key)
		}
	}
	for path, want := range map[string]int{"app/file/app.jar": 404, "nope/file/x": 404, "stolen/file/app.jar": 409, "stolen/file/other": 404} {
		if got := w.do(call{path: binaries + path, user: "ann"}); got.Code != want {
			t.Errorf("%s: %d %s, want %d", path, got.Code, got.Body, want)
		}
	}
	if got := w.do(call{method: http.MethodPut, path: binaries + "app/file", user: "ann", body: "{}"}); got.Code != 415 {
		t.Errorf("no form: %d %s", got.Code, got.Body)
	}
	if got := w.do(call{path: binaries + "app/file/app.jar", user: "bob"}); got.Code != 403 {
		t.Errorf("another's: %d", got.Code)
	}
	without := newWorld(t, nil, binary("app"))
	if code, body := without.sendFile(binaries+"app/file", "s2ibinary", "x"); code != 501 {
		t.Errorf("without a store: %d %s", code, body)
	}
}

// TestS2iBinaryFailures has a second upload fail in all places: the first file stays, and the next upload mends it.
func TestS2iBinaryFailures(t *testing.T) {
	w, store := newBinaryWorld(t, nil)
	path := binaries + "app/file"
	if code, body := w.sendFile(path, "s2ibinary", "first"); code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	broken := errors.New("the server stops")
	// The last write, which says Ready, does not get through, nor does the one that notes the failure: as if the
	// server was stopped between the calls.
	updates := 0
	failing := interceptor.NewClient(w.kube, interceptor.Funcs{
		Update: func(ctx context.Context, kube client.WithWatch, obj client.Object, opts ...client.UpdateOption) error {
			if updates++; updates > 1 {
				return broken
			}
			return kube.Update(ctx, obj, opts...)
		},
	})
	var last string
	w2 := newWorld(t, func(c *Config) {
		c.Reader, c.Client, c.Clients = w.kube, w.kube, actAs{failing, &last}
		c.Binaries = s2ibinary.Options{Objects: store, Stream: true}
	})
	w2.kube = w.kube
	if code, body := w2.sendFile(path, "s2ibinary", "second"); code != 500 || strings.Contains(body, "stops") {
		t.Errorf("%d %s", code, body)
	}
	b := w2.binary("app")
	if b.Status.Phase != devopsv1alpha1.S2iBinaryUploading || b.Spec.MD5 != sumOf("first") {
		t.Fatalf("%+v", b)
	}
	updates = -100
	if got := w2.do(call{path: path + "/app.jar", user: "ann"}); got.Body.String() != "first" {
		t.Errorf("the first file: %d %s", got.Code, got.Body)
	}
	if code, _ := w2.sendFile(path, "s2ibinary", "third"); code != 409 {
		t.Errorf("the upload may be alive: %d", code)
	}
	b.Annotations[devopsv1alpha1.S2iBinaryUploadAnnotation] = "x/" + time.Now().Add(-5*time.Minute).UTC().Format(time.RFC3339)
	if err := w.kube.Update(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if code, body := w2.sendFile(path, "s2ibinary", "third"); code != 200 {
		t.Errorf("%d %s", code, body)
	}
	if all := keys(t, store); len(all) != 1 {
		t.Errorf("left: %v", all)
	}
}
