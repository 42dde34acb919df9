// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha1 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha1"
	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/demo"
	"github.com/slipway-dev/slipway/test/contract/kubesphere"
	"github.com/slipway-dev/slipway/test/contract/kubesphere/world"
)

// contractTimeout bounds the whole suite.
const contractTimeout = 10 * time.Minute

// contractTable is the table of routes in the documentation.
const contractTable = "../../docs/kubesphere-routes.md"

// TestContract runs the contract suite of KubeSphere's console against `slipway up`. No case may be skipped and no
// route left out, and the table in the documentation must say what this run says; SLIPWAY_UPDATE=1 writes it.
// SLIPWAY_CONTRACT is a regular expression for the names of the cases to run; with it nothing of that is checked.
func TestContract(t *testing.T) {
	match := os.Getenv("SLIPWAY_CONTRACT")
	cases, err := kubesphere.Cases(match)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), contractTimeout)
	defer cancel()
	session, err := suite.login(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	around, err := world.Serve(ctx, suite.state.HostIP, filepath.Join(t.TempDir(), "git"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = around.Close() })
	env := kubesphere.Environment{Base: suite.state.URL, Token: session.API.Token(), OtherToken: stranger(ctx, t, "nobody-in-particular").Token(), S3: true, Sonar: true,
		Prepare: objectMaker(t),
		Agent:   fmt.Sprintf("{ kubernetes { yaml '''{spec: {containers: [{name: build, image: %q, command: [sleep, infinity]}]}}'''\n defaultContainer 'build' } }", suite.state.DevImage)}
	around.Fill(&env)
	report, err := kubesphere.Run(ctx, env, kubesphere.Options{Cases: cases, Done: func(o kubesphere.Outcome) {
		t.Logf("%s (%s): %d checks, %s %s", o.Case, o.Family, o.Checks, o.Took.Round(time.Millisecond), o.Skipped)
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range report.Failed() {
		t.Errorf("%s (%s): %s", o.Case, o.Family, o.Problem)
	}
	t.Logf("%d checks held in %d cases", report.Checks(), len(report.Outcomes))
	if match == "" {
		checkComplete(t, report)
	}
}

func checkComplete(t *testing.T, report *kubesphere.Report) {
	t.Helper()
	for _, o := range report.Outcomes {
		if o.Skipped != "" {
			t.Errorf("%s was skipped: %s", o.Case, o.Skipped)
		}
	}
	for _, route := range report.Missing {
		t.Errorf("no case that passed covers %s", route)
	}
	routes, err := kubesphere.Routes()
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := routes.WriteTable(&table, report); err != nil {
		t.Fatal(err)
	}
	if os.Getenv("SLIPWAY_UPDATE") != "" {
		if err := os.WriteFile(contractTable, table.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	stored, err := os.ReadFile(contractTable)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(stored, table.Bytes()) {
		t.Errorf("%s is not what this run gives; write it with `make contract-table`", contractTable)
	}
}

// objectMaker makes the template and the binary of a project by Kubernetes, as its owner would.
func objectMaker(t *testing.T) func(context.Context, string) error {
	t.Helper()
	c, err := demo.NewKubeClient(suite.state)
	if err != nil {
		t.Fatal(err)
	}
	return func(ctx context.Context, namespace string) error {
		binary := &devopsv1alpha1.S2iBinary{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "contract"}}
		return errors.Join(c.Create(ctx, binary), c.Create(ctx, &devopsv1alpha3.Template{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "contract"},
			Spec: devopsv1alpha3.TemplateSpec{
				Parameters: []devopsv1alpha3.TemplateParameter{{Name: "who", Required: true}},
				Template:   "pipeline { agent none\n stages { stage('a') { steps { echo $(.params.who | quote) } } } }",
			},
		}))
	}
}
