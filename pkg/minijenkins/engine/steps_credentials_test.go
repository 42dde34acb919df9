// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"
)

// TestWithCredentials runs the step with each binding: the variables are there in the block and not behind it, the secrets never reach a
// log, and their files are readable by the build alone and gone at the end.
func TestWithCredentials(t *testing.T) {
	known := secrets{
		"reg":  {Kind: CredentialUsernamePassword, Username: "bob", Password: "pw-example"},
		"tok":  {Kind: CredentialSecretText, Secret: "t0psecret"},
		"key":  {Kind: CredentialSSHKey, Username: "git", Secret: "-----BEGIN KEY-----\nAAAAkeybody\n-----END KEY-----", Password: "sesame phrase"},
		"blob": {Kind: CredentialFile, FileName: "../../a b.txt", File: []byte("file content\n")},
	}
	const abortAfter = "started\n"
	tests := map[string]struct {
		reason string
		steps  string
		result Result
		want   []string
		absent []string
	}{
		"as recorded": {
			reason: "the log of a Jenkins, see the recording of credentials",
			steps: `withCredentials([usernamePassword(credentialsId: 'reg', usernameVariable: 'U', passwordVariable: 'P')]) { sh 'echo $P; echo $P | wc -c' }
 withCredentials([string(credentialsId: 'nosuch', variable: 'X')]) { echo 'never' }`,
			result: ResultFailure,
			// The shell writes the traces of both sides of a pipe in any order.
			want: []string{"[Pipeline] withCredentials\nMasking supported pattern matches of $P\n[Pipeline] {\n[Pipeline] sh\n+ echo ****\n****\n", "\n11\n[Pipeline] }\n[Pipeline] // withCredentials\n" +
				"[Pipeline] withCredentials\n[Pipeline] // withCredentials\n", "ERROR: Could not find credentials entry with ID 'nosuch'"},
			absent: []string{"pw-example", "never"},
		},
		"several": {
			reason: "one block may have several bindings",
			steps: `withCredentials([string(credentialsId: 'tok', variable: 'TOKEN'), usernameColonPassword(credentialsId: 'reg', variable: 'PAIR')]) {
  sh 'echo "$TOKEN/$PAIR"'; echo "script ${TOKEN} ${env.PAIR}" }
 sh 'echo "after: [$TOKEN]"'`,
			result: ResultSuccess,
			want:   []string{"****/****\n", "script **** ****\n", "after: []\n"},
			absent: []string{"t0psecret", "pw-example"},
		},
		"files": {
			reason: "keys and files are on the agent during the block",
			steps: `withCredentials([sshUserPrivateKey(credentialsId: 'key', keyFileVariable: 'KEY', usernameVariable: 'WHO', passphraseVariable: 'PHRASE'), file(credentialsId: 'blob', variable: 'BLOB')]) {
  sh 'set +x; stat -c "mode %a" "$KEY" "$(dirname "$KEY")"; tail -c 1 "$KEY" | od -An -c; cat "$KEY"; basename "$BLOB"; cat "$BLOB"; echo "$WHO $PHRASE"; echo "$(dirname "$(dirname "$KEY")")" > where' }
 sh 'set +x; ls "$(cat where)" 2>/dev/null && echo left || echo gone'`,
			result: ResultSuccess,
			want:   []string{"mode 600\nmode 700\n", `\n`, "a b.txt\nfile content\n", "git ****\n", "gone\n"},
			absent: []string{"AAAAkeybody", "sesame", "left\n"},
		},
		"files after a failure": {
			reason: "they are removed whatever happens",
			steps: `script { try { withCredentials([file(credentialsId: 'blob', variable: 'BLOB')]) { sh 'set +x; dirname "$BLOB" > where; exit 3' } } catch (e) { echo 'caught' } }
 sh 'set +x; ls "$(cat where)" 2>/dev/null && echo left || echo gone'`,
			result: ResultSuccess, want: []string{"caught\n", "gone\n"}, absent: []string{"left\n"},
		},
		"wrong kind":    {"as in Jenkins", `withCredentials([string(credentialsId: 'reg', variable: 'X')]) { echo 'never' }`, ResultFailure, []string{"Credentials 'reg' is of type"}, []string{"never", "pw-example"}},
		"no variable":   {"", `withCredentials([string(credentialsId: 'tok')]) { echo 'never' }`, ResultFailure, []string{"string needs variable"}, []string{"never"}},
		"not a list":    {"", `withCredentials('tok') { echo 'never' }`, ResultFailure, []string{"list of bindings"}, []string{"never"}},
		"not a binding": {"", `withCredentials([choice(name: 'x')]) { echo 'never' }`, ResultFailure, []string{"the binding choice is not supported"}, []string{"never"}},
		"nothing":       {"an empty list is fine", `withCredentials([]) { echo 'ran' }`, ResultSuccess, []string{"ran\n"}, []string{"Masking"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRun(t, stages(tt.steps))
			r.spec.Credentials = known
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			if result, err := r.run(ctx); result != tt.result {
				t.Errorf("%s: %s, %v", tt.reason, result, err)
			}
			log := r.mem.text()
			for _, want := range tt.want {
				if !strings.Contains(log, want) {
					t.Errorf("%s: the log lacks %q:\n%s", tt.reason, want, log)
				}
			}
			for _, absent := range tt.absent {
				if strings.Contains(log, absent) {
					t.Errorf("%s: the log has %q:\n%s", tt.reason, absent, log)
				}
				for _, s := range r.mem.steps {
					if strings.Contains(s.DisplayDescription+s.Error, absent) && !strings.Contains(tt.steps, absent) {
						t.Errorf("%s: a step shows %q", tt.reason, absent)
					}
				}
			}
		})
	}
	t.Run("aborted", func(t *testing.T) {
		r := newRun(t, stages(`withCredentials([file(credentialsId: 'blob', variable: 'BLOB')]) { sh 'set +x; echo "path=$BLOB"; echo started; sleep 60' }`))
		r.spec.Credentials = known
		ctx, cancel := context.WithCancelCause(t.Context())
		r.mem.onLog = func(log string) {
			if strings.HasSuffix(log, abortAfter) {
				cancel(&AbortError{User: "bob"})
			}
		}
		if result, err := r.run(ctx); result != ResultAborted {
			t.Errorf("%s, %v", result, err)
		}
		_, path, found := strings.Cut(r.mem.text(), "path=")
		path, _, _ = strings.Cut(path, "\n")
		if _, err := os.Stat(path); !found || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("left on the agent: %q, %v", path, err)
		}
	})
}
