#!/usr/bin/env bash
# Copyright 2026 The Slipway Authors.
# SPDX-License-Identifier: Apache-2.0
# Regenerates everything that is derived from the Go code.
source "$(dirname "$0")/lib.sh"
cd "$ROOT"
mkdir -p "$BIN"
go build -C hack/tools -o "$BIN/controller-gen" sigs.k8s.io/controller-tools/cmd/controller-gen
"$BIN/controller-gen" object:headerFile=hack/boilerplate.go.txt crd:maxDescLen=2000 \
  paths=./pkg/apis/... output:crd:artifacts:config=config/crd/bases
"$BIN/controller-gen" rbac:roleName=slipway-controller-manager paths=./pkg/controller/... \
  output:rbac:artifacts:config=config/rbac/controller-manager
"$BIN/controller-gen" rbac:roleName=slipway-apiserver paths=./pkg/apiserver/... \
  output:rbac:artifacts:config=config/rbac/apiserver
mkdir -p charts/slipway/crds charts/slipway/files
cp config/crd/bases/*.yaml charts/slipway/crds/
for name in controller-manager apiserver; do
  # The chart is installed into any namespace; the generated roles name the default ones.
  sed -e 's/namespace: kubesphere-devops-system/namespace: {{ .Release.Namespace }}/' \
    -e 's/namespace: kubesphere-devops-worker/namespace: {{ .Values.workerNamespace }}/' "config/rbac/$name/role.yaml" \
    >"charts/slipway/files/$name-role.yaml"
done
sed 's/namespace: kubesphere-devops-worker/namespace: {{ .Values.workerNamespace }}/' config/rbac/jenkins/role.yaml \
  >charts/slipway/files/jenkins-role.yaml
sed 's/namespace: kubesphere-devops-system/namespace: {{ .Release.Namespace }}/' config/rbac/users/roles.yaml \
  >charts/slipway/files/user-roles.yaml
rm -rf charts/slipway/files/templates
mkdir -p charts/slipway/files/templates
cp config/templates/clustertemplates/*.yaml config/templates/clustersteptemplates/*.yaml charts/slipway/files/templates/
# What minijenkins does as Jenkins does, counted from recordings and from the engine's tables.
go test -count=1 ./test/conformance -update >/dev/null
