// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"context"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	devopsv1alpha3 "github.com/slipway-dev/slipway/pkg/apis/devops/v1alpha3"
	"github.com/slipway-dev/slipway/pkg/testing/envtest"
	"github.com/slipway-dev/slipway/test/openapi/live"
)

func TestMain(m *testing.M) { os.Exit(envtest.Main(m)) }

// patience bounds each thing that the browser does.
const patience = time.Minute

// chromium finds the browser; without one the test is skipped. CI installs it.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome-stable", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("there is no Chromium on this machine; install it with `apt-get install chromium`")
	return ""
}

// page is a tab of the browser.
type page struct {
	*testing.T
	ctx     context.Context
	console iter.Seq2[chromedp.ConsoleMessage, error]
}

func open(t *testing.T) *page {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium(t)), chromedp.NoSandbox, chromedp.WindowSize(1400, 1200), chromedp.UserDataDir(t.TempDir()))
	ctx, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, closeTab := chromedp.NewContext(ctx)
	t.Cleanup(closeTab)
	// The first call starts the browser, which lives as long as its context.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start the browser: %v", err)
	}
	listening, end := context.WithCancel(ctx)
	t.Cleanup(end)
	return &page{T: t, ctx: ctx, console: chromedp.Console(listening)}
}

// do does something on the page and says what if it does not work.
func (p *page) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.screenshot("swagger-ui-failed.png")
		p.Fatalf("%s: %v", what, err)
	}
}

// text reads what a part of the page shows.
func (p *page) text(part chromedp.CSS) string {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Text(part))
	if err != nil {
		p.screenshot("swagger-ui-failed.png")
		p.Fatalf("read %s: %v", part, err)
	}
	return text
}

// faults are the errors that the page has logged. The end of the page is the last message.
func (p *page) faults() []string {
	p.Helper()
	const end = "the test ends here"
	p.do("end", chromedp.Evaluate[chromedp.Void]("console.log('"+end+"')"))
	var faults []string
	for message, err := range p.console {
		if err != nil {
			p.Fatalf("read the console: %v", err)
		}
		if message.Text == end {
			break
		}
		// The browser logs answers of 400 and above; one of 401 is wanted.
		if message.IsException() || message.Type == "error" && !strings.Contains(message.Text, "status of 401") {
			faults = append(faults, message.String())
		}
	}
	return faults
}

// screenshot keeps a picture of the page in $SLIPWAY_ARTIFACTS, by default .run/artifacts.
func (p *page) screenshot(name string) {
	p.Helper()
	dir := os.Getenv("SLIPWAY_ARTIFACTS")
	if dir == "" {
		root, err := envtest.Root()
		if err != nil {
			p.Fatal(err)
		}
		dir = filepath.Join(root, ".run", "artifacts")
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		p.Fatal(err)
	}
	const quality = 100 // which is PNG
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(quality))
	if err != nil {
		p.Errorf("take a screenshot: %v", err)
		return
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, picture, 0o600); err != nil {
		p.Fatal(err)
	}
	p.Logf("screenshot: %s, %d bytes", path, len(picture))
}

// The parts of Swagger UI's page.
const (
	operation  chromedp.CSS = "#operations-Pipelines-listPipeline"
	button                  = operation + " .execute"
	namespace               = operation + ` tr[data-param-name="namespace"] input`
	answer                  = operation + " .live-responses-table"
	status                  = answer + " tbody .response-col_status"
	answerBody              = answer + " tbody .response-col_description .highlight-code"
	dialog     chromedp.CSS = ".dialog-ux .modal-ux"
	token                   = dialog + " #api_key_value"
)

// execute sends the request and gives the body that the page shows.
func (p *page) execute(want string) string {
	p.Helper()
	p.do("execute", chromedp.Click(button), chromedp.WaitVisible(status),
		chromedp.Poll[chromedp.Void](fmt.Sprintf("document.querySelector(%q)?.innerText.startsWith(%q)", status, want), chromedp.WithPollingTimeout(patience)))
	return p.text(answerBody)
}

// TestTryItOut lists pipelines from the page: without a token, then with one that is typed into the Authorize dialog.
func TestTryItOut(t *testing.T) {
	p := open(t) // first, as nothing is to be started without a browser
	server := live.Start(t)
	pipeline := &devopsv1alpha3.Pipeline{
		ObjectMeta: metav1.ObjectMeta{Namespace: server.Namespace, Name: "seen-in-the-browser"},
		Spec:       devopsv1alpha3.PipelineSpec{Type: devopsv1alpha3.NoScmPipelineType, Pipeline: &devopsv1alpha3.NoScmPipeline{}},
	}
	if err := server.Kube.Create(t.Context(), pipeline); err != nil {
		t.Fatal(err)
	}
	p.do("open the page", chromedp.Navigate(server.URL+"/swagger-ui/#/Pipelines/listPipeline"), chromedp.WaitVisible(button))
	if heading := p.text(".info .title"); !strings.Contains(heading, "Slipway") {
		t.Errorf("the page is headed %q", heading)
	}
	p.do("fill in the namespace", chromedp.SendKeys(namespace, server.Namespace))
	if body := p.execute("401"); !strings.Contains(body, `"Unauthorized"`) {
		t.Errorf("without a token: %s, want a Status that says so", body)
	}

	p.do("open the dialog", chromedp.Click(chromedp.CSS(".auth-wrapper .authorize")), chromedp.WaitVisible(token))
	p.do("type the token", chromedp.SendKeys(token, server.Token(t)), chromedp.KeyEvent("\n"))
	p.do("close the dialog", chromedp.WaitNotPresent(token), chromedp.Click(dialog+" .btn-done"), chromedp.WaitNotPresent(dialog))

	body := p.execute("200")
	if !strings.Contains(body, pipeline.Name) || !strings.Contains(body, `"totalItems": 1`) {
		t.Errorf("the page shows %s, want the pipeline", body)
	}
	p.screenshot("swagger-ui.png")
	for _, fault := range p.faults() {
		t.Errorf("fault of the page: %s", fault)
	}
}
