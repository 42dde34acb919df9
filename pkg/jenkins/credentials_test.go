// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package jenkins

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCredentials(t *testing.T) {
	entry := CredentialEntry{ID: "basic1", Description: "d", Credential: UsernamePassword{"bob", "pw-example"}}
	t.Run("missing, created, there", func(t *testing.T) {
		c, srv := replay(t, "09-credentials.json")
		srv.Use("create username/password", "get username/password")
		if err := c.CreateCredential(t.Context(), "rec-09h", entry); !errors.Is(err, ErrConflict) {
			t.Fatalf("the entry exists: %v", err)
		}
		got, err := c.GetCredential(t.Context(), "rec-09h", "basic1")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&CredentialInfo{ID: "basic1", Description: "d", DisplayName: "bob/****** (d)", TypeName: "Username with password"}, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("usage", func(t *testing.T) {
		c, srv := replay(t, "09-credentials.json")
		srv.Use("usage after a run")
		got, err := c.GetCredential(t.Context(), "rec-09h", "basic1")
		for err == nil && len(got.Usage) == 0 && len(srv.Calls()) < 5 {
			got, err = c.GetCredential(t.Context(), "rec-09h", "basic1")
		}
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]CredentialUsage{{Job: "rec-09h/use", Builds: [][2]int64{{1, 2}}}}, got.Usage); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("list", func(t *testing.T) {
		c, srv := replay(t, "09-credentials.json")
		srv.Use("list tree")
		got, err := c.ListCredentials(t.Context(), "rec-09h")
		if err != nil {
			t.Fatal(err)
		}
		want := []CredentialInfo{
			{ID: "basic1", Description: "d", DisplayName: "bob/****** (d)", TypeName: "Username with password"},
			{ID: "ssh1", Description: "d", DisplayName: "git (d)", TypeName: "SSH Username with private key"},
			{ID: "text1", Description: "d", DisplayName: "d", TypeName: "Secret text"},
			{ID: "file1", Description: "f", DisplayName: "a.txt (f)", TypeName: "Secret file"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		c, srv = replay(t, "09-credentials.json")
		srv.Use("store of a deleted folder")
		if _, err := c.ListCredentials(t.Context(), "rec-09h"); !errors.Is(err, ErrNotFound) {
			t.Errorf("the folder is gone: %v", err)
		}
	})
	t.Run("delete twice", func(t *testing.T) {
		c, srv := replay(t, "09-credentials.json")
		srv.Use("delete", "delete again")
		for range 2 {
			if err := c.DeleteCredential(t.Context(), "rec-09h", "basic1"); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("put: update, on 404 create", func(t *testing.T) {
		var paths []string
		c := handler(t, func(w http.ResponseWriter, r *http.Request) {
			paths = append(paths, r.Method+" "+r.URL.EscapedPath())
			if strings.HasSuffix(r.URL.Path, "/updateSubmit") {
				notFound(w, r)
			}
		})
		if err := c.PutCredential(t.Context(), "a/b", CredentialEntry{ID: "ü/1", Credential: SecretText{"s"}}); err != nil {
			t.Fatal(err)
		}
		const store = "POST /job/a/job/b/credentials/store/folder/domain/_"
		if diff := cmp.Diff([]string{store + "/credential/%C3%BC%2F1/updateSubmit", store + "/createCredentials"}, paths); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("kubeconfig without its plugin", func(t *testing.T) {
		c, srv := replay(t, "09-credentials.json")
		srv.Use("get kubeconfig", "create kubeconfig")
		err := c.CreateCredential(t.Context(), "rec-09h", CredentialEntry{ID: "kc1", Description: "d", Credential: Kubeconfig{"apiVersion: v1"}})
		if !errors.Is(err, ErrInternal) {
			t.Fatalf("err = %v", err)
		}
	})
	for _, id := range []string{"", ".", "..", "a\x00b", "\xff"} {
		c := handler(t, func(http.ResponseWriter, *http.Request) { t.Error("a call was made") })
		if err := c.UpdateCredential(t.Context(), "f", CredentialEntry{ID: id, Credential: SecretText{"s"}}); !errors.Is(err, ErrInvalid) {
			t.Errorf("id %q: %v", id, err)
		}
	}
}

// TestSecretsAreNotRepeated: whatever Jenkins puts into its answer, an error has no part of a secret.
func TestSecretsAreNotRepeated(t *testing.T) {
	key := "-----BEGIN KEY-----\nMIIEpAIBAAKCAQEAtopsecret" + strings.Repeat("x", 400) + "\n-----END KEY-----\n"
	for reason, cred := range map[string]Credential{
		"password":   UsernamePassword{"bob", "hunter2hunter2"},
		"short":      UsernamePassword{"bob", "q7"},
		"key":        SSHKey{"git", key, ""},
		"passphrase": SSHKey{"git", "zq81yy", "zv72 xw93"},
		"text":       SecretText{"s3cr3t & <more>"},
		"kubeconfig": Kubeconfig{"users:\n- token: abcdefghijklmnop\n"},
	} {
		t.Run(reason, func(t *testing.T) {
			for _, part := range []string{"X-Error", "body"} {
				c := handler(t, func(w http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					form, _ := url.ParseQuery(string(body))
					text := "cannot bind " + form.Get("json")
					_, _, secrets := cred.fields()
					text = strings.Join(secrets, " ") + text
					if part == "X-Error" {
						w.Header().Set("X-Error", strings.ReplaceAll(text, "\n", " "))
						text = ""
					}
					http.Error(w, text, http.StatusInternalServerError)
				})
				err := c.UpdateCredential(t.Context(), "f", CredentialEntry{ID: "x", Credential: cred})
				if !errors.Is(err, ErrInternal) {
					t.Fatalf("err = %v", err)
				}
				_, _, secrets := cred.fields()
				for _, s := range secrets {
					for _, word := range strings.Fields(s) {
						if strings.Contains(err.Error(), word[:min(8, len(word))]) && word != "&" {
							t.Errorf("%s: %v", part, err)
						}
					}
				}
			}
		})
	}
}

func TestCheckCron(t *testing.T) {
	c, _ := replay(t, "11-checks.json")
	got, err := c.CheckCron(t.Context(), "rec-11", "p", "*/5 * * * *")
	if err != nil {
		t.Fatal(err)
	}
	if got.Result != CheckWarning || got.Last.UTC().Format("15:04") != "01:00" || got.Next.Sub(got.Last).Minutes() != 5 ||
		!strings.HasPrefix(got.Message, "Spread load evenly by using ‘H/5 * * * *’ rather than ‘*/5 * * * *’\nWould last have run at Saturday") {
		t.Errorf("%+v", got)
	}
	if got, err = c.CheckCron(t.Context(), "rec-11", "p", "99 * * * *"); err != nil || got.Result != CheckError || !got.Next.IsZero() ||
		got.Message != `Invalid input: "99 * * * *": line 1:2: 99 is an invalid value. Must be within 0 and 59` {
		t.Errorf("%+v, %v", got, err)
	}
	t.Run("narrow space of later Java", func(t *testing.T) {
		c := handler(t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<div class=\"ok\">Would last have run at Friday, November 20, 2026 at 2:03:00\u202fAM Coordinated Universal Time; would next run at Saturday, November 21, 2026 at 2:03:00\u202fAM Coordinated Universal Time.</div>")
		})
		if got, err := c.CheckCron(t.Context(), "f", "", "H H * * *"); err != nil || got.Next.Day() != 21 || got.Last.Day() != 20 {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestCheckScript(t *testing.T) {
	c, _ := replay(t, "11-checks.json")
	got, err := c.CheckScript(t.Context(), "rec-11", "p", "def x = new no.such.Clazz()")
	if err != nil || len(got) != 1 || got[0].Line != 1 || got[0].Column != 9 || !strings.HasPrefix(got[0].Message, "unable to resolve class") {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestQuietState(t *testing.T) {
	c, srv := replay(t, "15-restart.json")
	srv.Use("quiet: root")
	if got, err := c.QuietState(t.Context()); err != nil || !got.Quiet || got.Reason != "maintenance" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestSearchPipelines(t *testing.T) {
	c, _ := replay(t, "13-search-and-lists.json")
	got, err := c.SearchPipelines(t.Context(), "rec-13", "gämma", Page{Limit: 10})
	if err != nil || len(got) != 1 || got[0].FullName != "rec-13/gämma" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"a;organization:x", "a*", "x:y"} {
		if _, err := c.SearchPipelines(t.Context(), "rec-13", bad, Page{}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
