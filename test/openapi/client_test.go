// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package openapi

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/pkg/testing/envtest"
	"github.com/slipway-dev/slipway/test/openapi/live"
)

// goSwagger is the generator and validator. It is run, not imported: it is no dependency of the project.
const goSwagger = "github.com/go-swagger/go-swagger/cmd/swagger@v0.36.7"

func TestMain(m *testing.M) { os.Exit(envtest.Main(m)) }

// TestDescriptionAndClient validates the served description, makes a client of it, compiles that with the program in
// the folder smoke, and runs the program. What was made is kept in .run/openapi, as long as nothing of it changes.
func TestDescriptionAndClient(t *testing.T) {
	server := live.Start(t)
	root, err := envtest.Root()
	if err != nil {
		t.Fatal(err)
	}
	w := &workshop{T: t, dir: filepath.Join(root, ".run", "openapi"), description: server.Description(t)}
	binary := w.binary()
	cmd := exec.CommandContext(t.Context(), binary)
	cmd.Env = append(os.Environ(), "SMOKE_URL="+server.URL, "SMOKE_NAMESPACE="+server.Namespace,
		"SMOKE_USER="+live.User, "SMOKE_PASSWORD="+live.Password)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatalf("the client does not work: %v", err)
	}
	const steps = 11
	if n := strings.Count(string(out), "ok: "); n != steps {
		t.Errorf("%d steps, want %d", n, steps)
	}
}

// workshop makes the client.
type workshop struct {
	*testing.T
	dir         string
	description []byte
}

// binary gives the program with the client, made now or before.
func (w *workshop) binary() string {
	w.Helper()
	sum := sha256.New()
	fmt.Fprintln(sum, goSwagger)
	_, _ = sum.Write(w.description)
	for _, name := range sources {
		content, err := os.ReadFile(filepath.Join("smoke", name))
		if err != nil {
			w.Fatal(err)
		}
		_, _ = sum.Write(content)
	}
	key := hex.EncodeToString(sum.Sum(nil))[:16]
	made := filepath.Join(w.dir, "smoke-"+key)
	if _, err := os.Stat(made); err == nil {
		w.Logf("%s was made before", made)
		return made
	}
	made = w.make(made)
	// What was made for other descriptions is of no more use.
	old, _ := filepath.Glob(filepath.Join(w.dir, "smoke-*"))
	for _, path := range old {
		if path != made {
			_ = os.Remove(path)
		}
	}
	return made
}

// sources are the files of the program.
var sources = []string{"main.go", "go.mod", "go.sum"}

// make validates the description, generates the client and compiles it with the program, which it gives.
func (w *workshop) make(binary string) string {
	w.Helper()
	if err := os.MkdirAll(w.dir, 0o750); err != nil {
		w.Fatal(err)
	}
	// Beside the result, so that two test runs do not meet.
	module, err := os.MkdirTemp(w.dir, "module-")
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = os.RemoveAll(module) })
	for _, name := range sources {
		content, err := os.ReadFile(filepath.Join("smoke", name))
		if err != nil {
			w.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(module, name), content, 0o600); err != nil {
			w.Fatal(err)
		}
	}
	document := filepath.Join(module, "openapi.json")
	if err := os.WriteFile(document, w.description, 0o600); err != nil {
		w.Fatal(err)
	}
	w.run("download and build go-swagger", module, "go", "run", goSwagger, "version")
	w.checkValidation(w.run("validate the description", module, "go", "run", goSwagger, "validate", document))
	w.run("generate the client", module, "go", "run", goSwagger, "generate", "client", "--quiet", "--spec", document, "--target", module, "--name", "slipway")
	w.run("download the client's modules", module, "go", "mod", "download")
	w.run("compile all of the client", module, "go", "build", "./...")
	w.run("compile the program", module, "go", "build", "-o", "smoke", ".")
	if w.Failed() {
		binary += "-invalid" // so that the next run looks at the description again
	}
	if err := os.Rename(filepath.Join(module, "smoke"), binary); err != nil {
		w.Fatal(err)
	}
	return binary
}

// checkValidation reads the validator's report: warnings are failures, too, such as examples that do not fit.
func (w *workshop) checkValidation(report string) {
	w.Helper()
	if !strings.Contains(report, "is valid against swagger specification 2.0") {
		w.Fatalf("the description is not valid:\n%s", report)
	}
	for _, problem := range problems(report) {
		w.Error(problem)
	}
}

// itemsTaken matches what the validator says of an example with a property named items inside: it takes the object
// for a schema, which needs a type, array.
var itemsTaken = regexp.MustCompile(`type in (\S+\.example\.\S+) is required`)

// problems gives the warnings of a report that are to be heeded.
func problems(report string) []string {
	mistaken := map[string]bool{}
	for _, match := range itemsTaken.FindAllStringSubmatch(report, -1) {
		mistaken[match[1]] = true
	}
	var found []string
	for line := range strings.Lines(report) {
		_, warning, ok := strings.Cut(strings.TrimSpace(line), "WARNING: ")
		path, _, _ := strings.Cut(warning, " in body must be of type array")
		switch {
		case !ok, mistaken[path], itemsTaken.MatchString(warning):
		case strings.HasSuffix(warning, "does not validate its schema"): // what follows says why
		case strings.HasPrefix(warning, "grant_type in formData has a default value and is required"): // for Swagger UI
		default:
			found = append(found, warning)
		}
	}
	return found
}

func TestProblems(t *testing.T) {
	report := `
- WARNING: grant_type in formData has a default value and is required as parameter
- WARNING: in operation "x", example value in response 200 does not validate its schema
- WARNING: type in definitions.A.example.list is required
- WARNING: definitions.A.example.list in body must be of type array
- WARNING: definitions.B.example.list in body must be of type array
- WARNING: definitions.B.example.n in body must be of type integer: "string"
`
	want := []string{"definitions.B.example.list in body must be of type array", `definitions.B.example.n in body must be of type integer: "string"`}
	if diff := cmp.Diff(want, problems(report)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// run runs a step and says how long it took: the first time modules are downloaded.
func (w *workshop) run(what, dir, name string, args ...string) string {
	w.Helper()
	began := time.Now()
	cmd := exec.CommandContext(w.Context(), name, args...)
	cmd.Dir = dir
	// The flags of the project's own build are not for other modules.
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	w.Logf("%s: %.1f s", what, time.Since(began).Seconds())
	if err != nil {
		w.Fatalf("%s: %v\n%s", what, err, out[max(0, len(out)-6000):])
	}
	return string(out)
}
