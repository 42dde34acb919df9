// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/html"
)

// ScriptError is a place in a Jenkinsfile that does not compile.
type ScriptError struct {
	// Line and Column begin at 1.
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
	// Status is "fail".
	Status string `json:"status"`
}

// CheckScript compiles a Jenkinsfile as Groovy and returns what is wrong with it, nothing if it compiles. It does not check the rules of
// Declarative pipelines. The job may be empty, then the script is checked in the folder.
func (c *Client) CheckScript(ctx context.Context, folder, job, script string) ([]ScriptError, error) {
	const op = "check script"
	p, err := checkPath(op, folder, job)
	if err != nil {
		return nil, err
	}
	a, err := c.postForm(ctx, op, p+"/descriptorByName/org.jenkinsci.plugins.workflow.cps.CpsFlowDefinition/checkScriptCompile", url.Values{"value": {script}})
	if err != nil {
		return nil, err
	}
	// A success is an object, errors are an array.
	if body := bytes.TrimSpace(a.body); len(body) > 0 && body[0] == '{' {
		var ok ScriptError
		if err := decodeJSON(op, a, &ok); err != nil {
			return nil, err
		}
		if ok.Status == "success" {
			return nil, nil
		}
		return []ScriptError{ok}, nil
	}
	var list []ScriptError
	if err := decodeJSON(op, a, &list); err != nil {
		return nil, err
	}
	return list, nil
}

// checkPath is the address of the object that a check is made at: a job, a folder, or the root.
func checkPath(op, folder, job string) (string, error) {
	switch {
	case job != "":
		return jobPath(op, folder, job)
	case folder != "":
		return folderPath(op, folder)
	}
	return "", nil
}

// Verdicts of a form check.
const (
	CheckOK      = "ok"
	CheckWarning = "warning"
	CheckError   = "error"
)

// CronCheck is what Jenkins says of a cron specification.
type CronCheck struct {
	// Result is the worst verdict: CheckOK, CheckWarning or CheckError.
	Result string
	// Message is Jenkins' text, one line for each verdict.
	Message string
	// Last and Next are when the schedule would have run last and will run next; zero if Jenkins does not say.
	Last, Next time.Time
}

// CheckCron asks Jenkins to check a cron specification with the triggers of a job; "H" stands for another time in each job. The job may be empty, and the
// folder as well. An invalid specification is no error but a result.
func (c *Client) CheckCron(ctx context.Context, folder, job, spec string) (*CronCheck, error) {
	const op = "check cron"
	p, err := checkPath(op, folder, job)
	if err != nil {
		return nil, err
	}
	a, err := c.do(ctx, call{op: op, method: http.MethodGet, path: p + "/descriptorByName/hudson.triggers.TimerTrigger/checkSpec", query: url.Values{"value": {spec}}})
	if err != nil {
		return nil, err
	}
	list, err := verdictsOf(op, a)
	if err != nil {
		return nil, err
	}
	out := &CronCheck{Result: CheckOK}
	var lines []string
	for _, v := range list {
		if v.kind == CheckError || v.kind == CheckWarning && out.Result == CheckOK {
			out.Result = v.kind
		}
		lines = append(lines, v.text)
		if v.kind == CheckOK {
			out.Last, out.Next = cronTimes(v.text)
		}
	}
	out.Message = strings.Join(lines, "\n")
	return out, nil
}

// CheckJobName asks whether a job of this name could be made in the folder (empty: at the root). The answer is empty if so, else Jenkins' reason: the name is
// taken or has a bad character.
func (c *Client) CheckJobName(ctx context.Context, folder, name string) (string, error) {
	const op = "check job name"
	p, err := checkPath(op, folder, "")
	if err != nil {
		return "", err
	}
	a, err := c.do(ctx, call{op: op, method: http.MethodGet, path: p + "/checkJobName", query: url.Values{"value": {name}}})
	if err != nil {
		return "", err
	}
	list, err := verdictsOf(op, a)
	if err != nil {
		return "", err
	}
	for _, v := range list {
		if v.kind == CheckError {
			return v.text, nil
		}
	}
	return "", nil
}

type verdict struct{ kind, text string }

// nothingWrong is the answer of a form check that has nothing to say.
const nothingWrong = "<div/>"

// verdictsOf reads the answer of a form check. A page that has no verdict is not Jenkins' consent.
func verdictsOf(op string, a *answer) ([]verdict, error) {
	list := verdicts(a.body)
	if len(list) == 0 && string(bytes.TrimSpace(a.body)) != nothingWrong {
		return nil, &Error{Op: op, Status: a.status, kind: ErrUnexpected,
			Message: "the answer is not that of a check: " + messageOf(a.header.Get("Content-Type"), a.body)}
	}
	return list, nil
}

// verdicts reads the answer of a form check: <div class="ok|warning|error">text</div>, several of them in a list. The stack trace behind an
// error is left out.
func verdicts(page []byte) []verdict {
	z := html.NewTokenizer(bytes.NewReader(page))
	var list []verdict
	open := false
	for {
		switch z.Next() {
		case html.ErrorToken:
			for i := range list {
				list[i].text = oneLine(list[i].text)
			}
			return list
		case html.StartTagToken:
			t := z.Token()
			if t.Data != "div" {
				break
			}
			open = false
			for _, a := range t.Attr {
				if a.Key == "class" && (a.Val == CheckOK || a.Val == CheckWarning || a.Val == CheckError) {
					list, open = append(list, verdict{kind: a.Val}), true
				}
			}
		case html.EndTagToken:
			if name, _ := z.TagName(); string(name) == "div" {
				open = false
			}
		case html.TextToken:
			if open {
				list[len(list)-1].text += string(z.Text())
			}
		}
	}
}

// cronLayout is how Jenkins writes times in English; Java 20 and later put a narrow no-break space before AM and PM, which oneLine turns into a space.
const cronLayout = "Monday, January 2, 2006 at 3:04:05 PM"

// cronTimes reads "Would last have run at T1; would next run at T2." A time in a zone that Go cannot name is left out, as its offset is not known.
func cronTimes(text string) (last, next time.Time) {
	before, after, _ := strings.Cut(text, ";")
	return cronTime(before), cronTime(after)
}

func cronTime(text string) time.Time {
	_, text, found := strings.Cut(text, "run at ")
	if !found {
		return time.Time{}
	}
	text = strings.TrimSuffix(strings.TrimSpace(text), ".")
	for zone, loc := range map[string]*time.Location{"Coordinated Universal Time": time.UTC, "Greenwich Mean Time": time.UTC, "UTC": time.UTC} {
		if t, err := time.ParseInLocation(cronLayout, strings.TrimSpace(strings.TrimSuffix(text, zone)), loc); err == nil && strings.HasSuffix(text, zone) {
			return t
		}
	}
	return time.Time{}
}
