#!/usr/bin/env bash
# Copyright 2026 The Slipway Authors.
# SPDX-License-Identifier: Apache-2.0
# Everything that has to hold before a change is handed over.
source "$(dirname "$0")/lib.sh"
cd "$ROOT"
HELM_VERSION=${HELM_VERSION:-v3.18.6}

generated() {
  hack/generate.sh
  git diff --exit-code -- pkg/apis config charts docs/minijenkins-conformance.md || { echo "generated files were stale: commit what make generate made" >&2; return 1; }
}
formatted() {
  local files
  files=$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l)
  [ -z "$files" ] || { echo "not formatted (make fmt): $files" >&2; return 1; }
}
tidy() {
  go mod tidy -diff && go -C hack/cluster mod tidy -diff &&
    go -C hack/cluster/containerd mod tidy -diff && go -C hack/tools mod tidy -diff
}
# Helm is a build tool here, not a dependency.
chart() {
  if [ ! -x "$BIN/helm" ]; then
    echo "building helm $HELM_VERSION"
    GOBIN=$BIN go install "helm.sh/helm/v3/cmd/helm@$HELM_VERSION"
  fi
  local values
  for values in charts/slipway/ci/*-values.yaml docs/examples/jenkins/values-slipway.yaml; do
    "$BIN/helm" lint --quiet charts/slipway -f "$values" &&
      "$BIN/helm" template slipway charts/slipway --kube-version 1.36.0 -f "$values" >/dev/null || return 1
  done
}
# The database of known vulnerabilities is not reachable everywhere: then that is said, not failed.
vulnerabilities() {
  local out
  if out=$(go run "golang.org/x/vuln/cmd/govulncheck@${GOVULNCHECK_VERSION:-latest}" ./... 2>&1); then
    echo "$out" | tail -n 5
  elif echo "$out" | grep -q -E 'vuln\.go\.dev.*(dial|lookup|connection|refused|Forbidden|EOF|timeout)|fetching vulnerabilities'; then
    echo "govulncheck: its database is not reachable from here; not checked"
  else
    echo "$out" >&2
    return 1
  fi
}

step "generated files" generated
step "format" formatted
step "vet" go vet ./...
step "go.mod" tidy
step "lint" hack/lint.sh
step "chart" chart
step "known vulnerabilities" vulnerabilities
