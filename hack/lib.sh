# Copyright 2026 The Slipway Authors.
# SPDX-License-Identifier: Apache-2.0
# What the scripts of this folder share. It is sourced, not run.
# shellcheck shell=bash disable=SC2034
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
RUN=$ROOT/.run
BIN=$RUN/bin
DEVCLUSTER=$BIN/devcluster
AGENT_IMAGE=registry.slipway.internal/slipway-agent:dev
DEV_IMAGE=registry.slipway.internal/dev-base:bookworm
export PATH=$BIN:$PATH
# The cluster has sockets below its state folder, whose paths Linux bounds to 108 bytes.
if [ -z "${DEVCLUSTER_STATE_DIR:-}" ] && [ "${#RUN}" -gt 60 ]; then
  DEVCLUSTER_STATE_DIR=/var/tmp/slipway-$(printf %s "$RUN" | sha256sum | cut -c1-8)
fi
[ -z "${DEVCLUSTER_STATE_DIR:-}" ] || export DEVCLUSTER_STATE_DIR

# step TEXT COMMAND… runs the command and prints how long it took.
step() {
  local text=$1 start=$SECONDS
  shift
  echo "==> $text"
  "$@" || { local rc=$?; echo "==> $text: failed after $((SECONDS - start)) s" >&2; return "$rc"; }
  echo "==> $text: $((SECONDS - start)) s"
}

# cluster_address NAME gives an address out of the dev cluster's status.
cluster_address() { "$DEVCLUSTER" status -o json | sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p"; }

# cluster_up starts the dev cluster and puts the project's images into its registry.
cluster_up() {
  make --no-print-directory -C "$ROOT" build-cluster
  "$DEVCLUSTER" up --wait
  if [ -n "${HTTPS_PROXY:-${https_proxy:-${HTTP_PROXY:-${http_proxy:-}}}}" ]; then
    # A proxy does not reach the cluster, which is on this machine only.
    local direct=${NO_PROXY:-${no_proxy:-}}
    NO_PROXY=${direct:+$direct,}$(cluster_address nodeIP),$(cluster_address hostIP)
    export NO_PROXY no_proxy=$NO_PROXY
  fi
  "$DEVCLUSTER" image build slipway-agent:dev --add "$BIN/slipway-agent:/slipway-agent:0755" \
    --entrypoint '["/slipway-agent"]' >/dev/null
  mkdir -p "$RUN/image"
  echo 'This file is baked into the image of the dev container.' >"$RUN/image/slipway-marker"
  "$DEVCLUSTER" image debian dev-base:bookworm \
    --packages openssh-server,git,ca-certificates,bash,procps \
    --add "$RUN/image/slipway-marker:/etc/slipway-marker:0644" >/dev/null
}
