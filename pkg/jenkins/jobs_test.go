// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-dev/slipway/pkg/jenkins/jobxml"
)

func TestFolders(t *testing.T) {
	t.Run("exists, is deleted, is deleted again", func(t *testing.T) {
		c, _ := replay(t, "02-folder.json")
		if err := c.EnsureFolder(t.Context(), "rec-02g"); err != nil {
			t.Fatal(err)
		}
		if err := c.DeleteFolder(t.Context(), "rec-02g"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.GetFolder(t.Context(), "rec-02g"); !errors.Is(err, ErrNotFound) {
			t.Fatalf("err = %v", err)
		}
		if err := c.DeleteFolder(t.Context(), "rec-02g"); err != nil {
			t.Fatalf("second delete: %v", err)
		}
	})
	t.Run("nested", func(t *testing.T) {
		c, _ := replay(t, "02-folder.json")
		f, err := c.GetFolder(t.Context(), "rec-02g/inner")
		if err != nil || f.FullName != "rec-02g/inner" || f.Name != "inner" {
			t.Fatalf("folder = %+v, %v", f, err)
		}
	})
	t.Run("parent is missing", func(t *testing.T) {
		c, srv := replay(t, "02-folder.json")
		srv.AnyBody("nested: below a missing folder")
		// The look at /job/nosuch/job/inner was not recorded; it is the 404 of any missing item.
		srv.Exchange("get missing below").Request.Path = "/job/nosuch/job/inner/api/json"
		if err := c.EnsureFolder(t.Context(), "nosuch/inner"); !errors.Is(err, ErrNotFound) {
			t.Fatalf("err = %v", err)
		}
	})
	t.Run("space and umlaut", func(t *testing.T) {
		c, srv := replay(t, "02-folder.json")
		srv.AnyBody("name with space and umlaut: create")
		const name = "rec-02g sp ä"
		if err := c.createItem(t.Context(), "create", "", name, []byte("<x/>")); err != nil {
			t.Fatal(err)
		}
		if f, err := c.GetFolder(t.Context(), name); err != nil || f.Name != name {
			t.Fatalf("folder = %+v, %v", f, err)
		}
		if err := c.DeleteFolder(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("creation writes XML, so that names keep their case", func(t *testing.T) {
		var posted string
		c := handler(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				notFound(w, r)
				return
			}
			b, _ := io.ReadAll(r.Body)
			posted = r.URL.RequestURI() + " " + r.Header.Get("Content-Type") + " " + string(b)
		})
		if err := c.EnsureFolder(t.Context(), "team"); err != nil {
			t.Fatal(err)
		}
		want := "/createItem?name=team application/xml; charset=utf-8 <?xml version='1.1' encoding='UTF-8'?>\n" +
			"<com.cloudbees.hudson.plugins.folder.Folder><description></description></com.cloudbees.hudson.plugins.folder.Folder>"
		if diff := cmp.Diff(want, posted); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("somebody was faster", func(t *testing.T) {
		gets := 0
		c := handler(t, func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Method == http.MethodPost:
				http.Error(w, "A job already exists with the name ‘team’", http.StatusBadRequest)
			case gets == 0:
				gets++
				notFound(w, r)
			default:
				_, _ = fmt.Fprintf(w, `{"_class":%q,"name":"team"}`, FolderClass)
			}
		})
		if err := c.EnsureFolder(t.Context(), "team"); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("a job has the name", func(t *testing.T) {
		c := handler(t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"_class":"org.jenkinsci.plugins.workflow.job.WorkflowJob","name":"team"}`)
		})
		if err := c.EnsureFolder(t.Context(), "team"); !errors.Is(err, ErrConflict) {
			t.Fatalf("err = %v", err)
		}
	})
}

func TestJobs(t *testing.T) {
	t.Run("update and read back", func(t *testing.T) {
		c, srv := replay(t, "03-pipeline-job.json")
		doc := srv.Exchange("update config.xml with every property").Request.Body
		if err := c.PutJob(t.Context(), "rec-03", "p1", []byte(doc)); err != nil {
			t.Fatal(err)
		}
		srv.Final()
		got, err := c.GetJobConfig(t.Context(), "rec-03", "p1")
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := jobxml.Parse(got)
		if err != nil || parsed.Spec.Pipeline.Description != "all properties" || len(parsed.Spec.Pipeline.Parameters) != 6 {
			t.Fatalf("parsed = %+v, %v", parsed, err)
		}
	})
	t.Run("creation: answers of Jenkins", func(t *testing.T) {
		c, srv := replay(t, "03-pipeline-job.json")
		for _, tc := range []struct {
			exchange, folder, name string
			want                   error
		}{
			{"create by xml", "/job/rec-03", "p2", nil},
			{"create duplicate by xml", "/job/rec-03", "p2", ErrConflict},
			{"create with bad name", "/job/rec-03", "a/b", ErrInvalid},
			{"create in a missing folder", "/job/nosuch", "p2", ErrNotFound},
		} {
			doc := srv.Exchange(tc.exchange).Request.Body
			err := c.createItem(t.Context(), "create", tc.folder, tc.name, []byte(doc))
			if !errors.Is(err, tc.want) {
				t.Errorf("%s: %v, want %v", tc.exchange, err, tc.want)
			}
		}
	})
	t.Run("broken documents", func(t *testing.T) {
		c, srv := replay(t, "03-pipeline-job.json")
		for _, name := range []string{"update config.xml, broken xml", "update config.xml, other root"} {
			doc := srv.Exchange(name).Request.Body
			if err := c.PutJob(t.Context(), "rec-03", "p2", []byte(doc)); !errors.Is(err, ErrInternal) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("missing", func(t *testing.T) {
		c, _ := replay(t, "03-pipeline-job.json")
		if _, err := c.GetJobConfig(t.Context(), "rec-03", "nosuch"); !errors.Is(err, ErrNotFound) {
			t.Fatalf("err = %v", err)
		}
		for range 2 {
			if err := c.DeleteJob(t.Context(), "rec-03", "p2old"); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("list", func(t *testing.T) {
		c, _ := replay(t, "03-pipeline-job.json")
		got, err := c.ListJobs(t.Context(), "rec-03")
		if err != nil || len(got) != 6 {
			t.Fatalf("jobs = %+v, %v", got, err)
		}
		if got[0].Class != "org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject" || got[0].Name != "mb" {
			t.Errorf("first = %+v", got[0])
		}
	})
}

// jobServer is a Jenkins with one job, to see the order of calls.
type jobServer struct {
	exists   bool
	stealing bool // the job is made by somebody else between update and creation
	log      []string
	body     []byte
}

func (s *jobServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.log = append(s.log, r.Method+" "+r.URL.RequestURI())
	body, _ := io.ReadAll(r.Body)
	if strings.HasSuffix(r.URL.Path, "/config.xml") {
		if !s.exists {
			notFound(w, r)
			return
		}
		s.body = body
		return
	}
	if s.stealing {
		s.exists = true
		http.Error(w, "A job already exists with the name ‘j’", http.StatusBadRequest)
		return
	}
	s.exists, s.body = true, body
}

func TestPutJob(t *testing.T) {
	const update, create = "POST /job/f/job/j%20%C3%BC/config.xml", "POST /job/f/createItem?name=j+%C3%BC"
	doc := []byte("<?xml version='1.1' encoding='UTF-8'?>\n<flow-definition/>")
	for reason, tc := range map[string]struct {
		srv  jobServer
		want []string
	}{
		"exists":             {jobServer{exists: true}, []string{update}},
		"new":                {jobServer{}, []string{update, create}},
		"created in between": {jobServer{stealing: true}, []string{update, create, update}},
	} {
		t.Run(reason, func(t *testing.T) {
			c := handler(t, tc.srv.ServeHTTP)
			if err := c.PutJob(t.Context(), "f", "j ü", doc); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, tc.srv.log); diff != "" {
				t.Error(diff)
			}
			if !bytes.Equal(tc.srv.body, doc) {
				t.Errorf("body = %s", tc.srv.body)
			}
		})
	}
}

func TestGetJob(t *testing.T) {
	c, srv := replay(t, "03-pipeline-job.json")
	srv.Use("api of the empty job", "missing job")
	got, err := c.GetJob(t.Context(), "rec-03", "p1")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&JobInfo{Name: "p1", Class: PipelineClass, Color: "notbuilt"}, got); diff != "" {
		t.Error(diff)
	}
	if _, err := c.GetJob(t.Context(), "rec-03", "nosuch"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

func TestListTree(t *testing.T) {
	c := handler(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"_class":"`+FolderClass+`","jobs":[
			{"_class":"`+PipelineClass+`","name":"a","color":"disabled"},
			{"_class":"`+MultiBranchClass+`","name":"mb","jobs":[{"_class":"`+PipelineClass+`","name":"feature%2Fx"},{"_class":"`+PipelineClass+`","name":"main"}]},
			{"_class":"`+FolderClass+`","name":"sub","jobs":[{"_class":"`+PipelineClass+`","name":"deep"}]},
			{"_class":"hudson.model.FreeStyleProject","name":"free","color":"red_anime"}]}`)
	})
	got, err := c.ListTree(t.Context(), "f")
	if err != nil {
		t.Fatal(err)
	}
	want := []JobInfo{
		{Name: "a", Class: PipelineClass, Color: "disabled"},
		{Name: "mb", Class: MultiBranchClass, Branches: []string{"feature%2Fx", "main"}},
		{Name: "sub", Class: FolderClass},
		{Name: "free", Class: "hudson.model.FreeStyleProject", Color: "red_anime"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !got[0].Disabled() || got[3].Disabled() || got[1].Disabled() {
		t.Error("which job is disabled?")
	}
}

func TestDescribeFolder(t *testing.T) {
	for text, want := range map[string]string{"": "description=", "a&b=c\nü": "description=a%26b%3Dc%0A%C3%BC"} {
		c := handler(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if r.URL.Path != "/job/team/submitDescription" || string(body) != want {
				t.Errorf("%s %s %q", r.Method, r.URL.Path, body)
			}
			w.Header().Set("Location", "/job/team/")
			w.WriteHeader(http.StatusFound)
		})
		if err := c.DescribeFolder(t.Context(), "team", text); err != nil {
			t.Error(err)
		}
	}
}
