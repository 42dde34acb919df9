#!/usr/bin/env bash
# Copyright 2026 The Slipway Authors.
# SPDX-License-Identifier: Apache-2.0
# The tests in parts, each with the time it took:
# test.sh all|unit|e2e|contract-table|openapi|kill|bench-devcontainer|bench-runs|bench-api|bench-minijenkins|fuzz.
source "$(dirname "$0")/lib.sh"
cd "$ROOT"
export KUBEBUILDER_ASSETS=$BIN

unit_packages() { go list ./... | grep -v '/test/e2e'; }

unit() {
  step "build the test control plane (kube-apiserver, etcd)" build_control_plane
  # shellcheck disable=SC2046 # one word a package is wanted
  step "unit tests and tests on a real kube-apiserver" go test -timeout 20m $(unit_packages)
  step "tests of the dev cluster's own code" go test -C hack/cluster ./...
}

build_control_plane() {
  make --no-print-directory "$DEVCLUSTER"
  "$DEVCLUSTER" build --only kube
}

e2e() {
  step "build Slipway" make --no-print-directory build
  step "dev cluster" cluster_up
  step "end-to-end tests" env SLIPWAY_E2E=1 go test -count=1 -timeout 30m -parallel 16 -v ./test/e2e/...
}

case ${1:-all} in
  unit) unit ;;
  e2e) e2e ;;
  all)
    total=$SECONDS
    unit
    e2e
    echo "==> all tests: $((SECONDS - total)) s"
    ;;
  contract-table)
    cluster_up
    SLIPWAY_E2E=1 SLIPWAY_UPDATE=1 go test -count=1 -timeout 20m -run '^TestContract$' ./test/e2e/...
    ;;
  openapi)
    build_control_plane
    go test -count=1 -timeout 20m -v ./test/openapi/... ./test/browser/...
    ;;
  bench-devcontainer)
    cluster_up
    SLIPWAY_E2E=1 go test -count=1 -timeout 20m -run '^$' -bench DevContainerReady -benchtime 10x ./test/e2e/...
    ;;
  bench-runs)
    build_control_plane
    go test -count=1 -timeout 30m -run '^$' -bench LiveRuns -benchtime 1x -v ./test/faults
    ;;
  bench-api)
    shift
    mkdir -p "$BIN"
    go build -o "$BIN/bench-api" ./test/bench/api
    case " $* " in
      *" --server"*) ;; # servers that run already
      *)
        build_control_plane
        make --no-print-directory build-apiserver
        ;;
    esac
    "$BIN/bench-api" "$@"
    ;;
  fuzz)
    grep -roE '^func Fuzz\w+' --include='*_test.go' pkg | sort | while IFS=: read -r file target; do
      target=${target#func }
      step "$target of ${file%/*}" go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZ_TIME:-10m}" "./${file%/*}" </dev/null
    done
    ;;
  bench-minijenkins)
    make --no-print-directory build-minijenkins
    SLIPWAY_MINIJENKINS=$BIN/minijenkins go test -count=1 -timeout 10m -run '^$' -bench Minijenkins -benchtime 1x ./test/minijenkins
    ;;
  kill)
    make --no-print-directory build-minijenkins
    SLIPWAY_MINIJENKINS=$BIN/minijenkins SLIPWAY_KILLS=${SLIPWAY_KILLS:-50} go test -count=1 -timeout 30m -run '^TestKill$' -v ./test/minijenkins
    ;;
  *)
    echo "usage: $0 all|unit|e2e|contract-table|openapi|kill|bench-devcontainer|bench-runs|bench-api|bench-minijenkins|fuzz" >&2
    exit 2
    ;;
esac
