// Copyright 2026 The Slipway Authors.
// SPDX-License-Identifier: Apache-2.0

package clients

import "testing"

// TestPythonJenkins runs testdata/python_jenkins.py, which calls what python3-jenkins offers and fails with the first answer that it
// does not expect.
func TestPythonJenkins(t *testing.T) {
	needPackages(t, "python3-jenkins")
	t.Log("\n" + python(t, "testdata/python_jenkins.py", start(t), testUser, testPassword))
}

// TestPythonJenkinsByToken does the same with an API token, with which no request needs a crumb.
func TestPythonJenkinsByToken(t *testing.T) {
	needPackages(t, "python3-jenkins")
	python(t, "testdata/python_jenkins.py", start(t), testUser, testToken)
}
