#!/usr/bin/env bash
# Copyright 2026 The Slipway Authors.
# SPDX-License-Identifier: Apache-2.0
# `make run`: a cluster and everything of Slipway in one process. With KUBECONFIG set that cluster is
# used; without it the dev cluster is built and started.
source "$(dirname "$0")/lib.sh"
if [ -n "${KUBECONFIG:-}" ]; then
  # It may name several files, as for kubectl.
  exec "$BIN/slipway" up --state-dir "$RUN/slipway" "$@"
fi
cluster_up
exec "$BIN/slipway" up --kubeconfig "$("$DEVCLUSTER" kubeconfig)" --state-dir "$RUN/slipway" \
  --agent-image "$AGENT_IMAGE" --dev-image "$DEV_IMAGE" \
  --host-ip "$(cluster_address hostIP)" "$@"
