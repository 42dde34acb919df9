#!/usr/bin/env bash
# Copyright 2026 The Slipway Authors.
# SPDX-License-Identifier: Apache-2.0
# Runs golangci-lint at the version of the Makefile, built on first use, on every module that has
# code of its own. Each has its own .golangci.yml.
source "$(dirname "$0")/lib.sh"
cd "$ROOT"
version=${GOLANGCI_LINT_VERSION:?set by the Makefile}
if ! "$BIN/golangci-lint" version 2>/dev/null | grep -q "${version#v}"; then
  echo "building golangci-lint $version"
  GOBIN=$BIN go install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$version"
fi
failed=0
for module in . hack/cluster; do
  echo "lint $module"
  # The findings of one module must not hide those of the next.
  (cd "$module" && "$BIN/golangci-lint" run ./...) || failed=1
done
exit "$failed"
