# Slipway: the targets of a developer's day. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

ROOT    := $(CURDIR)
RUN     := $(ROOT)/.run
BIN     := $(RUN)/bin
GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X github.com/slipway-dev/slipway/pkg/version.gitVersion=$(VERSION) -X github.com/slipway-dev/slipway/pkg/version.gitCommit=$(COMMIT)
BINARIES := slipway apiserver controller-manager minijenkins
DEVCLUSTER := $(BIN)/devcluster
GOLANGCI_LINT_VERSION := v2.15.0
GOVULNCHECK_VERSION := v1.1.4

##@ Use

.PHONY: run
run: build ## Start the dev cluster (unless KUBECONFIG is set) and `slipway up`; stop with Ctrl-C
	@hack/run.sh $(ARGS)

.PHONY: demo
demo: build-slipway ## Play the whole job against a running `make run`
	@$(BIN)/slipway demo --state-dir $(RUN)/slipway $(ARGS)

.PHONY: down
down: ## Stop the dev cluster and remove what it left on the machine
	@if [ -x "$(DEVCLUSTER)" ]; then "$(DEVCLUSTER)" down; fi

##@ Build

.PHONY: build
build: $(addprefix build-,$(BINARIES)) build-agent ## Build all binaries into .run/bin

.PHONY: $(addprefix build-,$(BINARIES))
$(addprefix build-,$(BINARIES)): build-%:
	@mkdir -p $(BIN)
	@echo "building $*"; CGO_ENABLED=0 $(GO) build -trimpath -ldflags "$(LDFLAGS)" -o $(BIN)/$* ./cmd/$*

.PHONY: build-agent
build-agent: ## Build slipway-agent, the static binary that is copied into pods
	@mkdir -p $(BIN)
	@echo "building slipway-agent"; CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o $(BIN)/slipway-agent ./cmd/agent

.PHONY: build-cluster
build-cluster: $(DEVCLUSTER) ## Build the dev cluster's Kubernetes, etcd, containerd and CNI (minutes, once)
	@$(DEVCLUSTER) build

.PHONY: $(DEVCLUSTER)
$(DEVCLUSTER):
	@mkdir -p $(BIN)
	@CGO_ENABLED=0 $(GO) build -C hack/cluster -trimpath -o $(DEVCLUSTER) ./cmd/devcluster

.PHONY: image
image: IMAGE ?= slipway/slipway-$(BINARY):$(VERSION)
image: ## Build the image of one binary with Docker: BINARY=apiserver|controller-manager|minijenkins|agent IMAGE=registry/slipway-apiserver:tag
	$(if $(BINARY),,$(error BINARY is required: make image BINARY=apiserver))
	docker build --build-arg BINARY=$(BINARY) --build-arg VERSION=$(VERSION) -t $(IMAGE) .

.PHONY: image-agent-jenkins
image-agent-jenkins: IMAGE ?= slipway/slipway-agent-jenkins:$(VERSION)
image-agent-jenkins: ## Build the image of a real Jenkins' agents, slipway-agent with a JRE: IMAGE=registry/name:tag
	docker build --target agent-jenkins --build-arg BINARY=agent --build-arg VERSION=$(VERSION) -t $(IMAGE) .

##@ Test

.PHONY: test
test: ## All tests: unit, real kube-apiserver and etcd, end-to-end on the dev cluster (root)
	@hack/test.sh all

.PHONY: test-unit
test-unit: ## Only what needs no cluster
	@hack/test.sh unit

.PHONY: test-e2e
test-e2e: ## Only the end-to-end tests on the dev cluster
	@hack/test.sh e2e

.PHONY: test-jenkins
test-jenkins: ## The contract with a Jenkins: JENKINS_URL=… JENKINS_USER=… JENKINS_TOKEN=… (or JENKINS_TOKEN_FILE); without a URL against minijenkins
	@$(GO) test -count=1 -timeout 20m -v ./test/contract/jenkins $(ARGS)

.PHONY: test-openapi
test-openapi: ## The API's description: it is valid, a client made of it works, and so does Swagger UI in Chromium (picture in .run/artifacts)
	@hack/test.sh openapi

.PHONY: test-kill
test-kill: ## kill -9 of minijenkins at 50 random moments of builds (SLIPWAY_KILLS=n, SLIPWAY_SEED=n)
	@hack/test.sh kill

.PHONY: contract-table
contract-table: build ## Run the contract suite on the dev cluster and write docs/kubesphere-routes.md
	@hack/test.sh contract-table

.PHONY: contract
contract: ## Check that a server is what a KubeSphere console has behind it: BASE=http://… TOKEN=… [HOST=address of this machine for it] [ARGS=…]
	@$(GO) run ./test/contract/kubesphere/cmd/contract --base '$(BASE)' $(if $(HOST),--host '$(HOST)') $(ARGS)

.PHONY: bench-devcontainer
bench-devcontainer: build ## Time from create to ready of ten dev containers, median
	@hack/test.sh bench-devcontainer

.PHONY: bench-runs
bench-runs: ## 1,000 live runs on a real kube-apiserver: lag of their status, calls to Jenkins, memory (SLIPWAY_LIVE_RUNS=n)
	@hack/test.sh bench-runs

.PHONY: bench-api
bench-api: ## Lists, reads and watches at 1,000, 10,000 and 50,000 runs; fails if a limit is missed (BENCH_RUNS=n,n; ARGS="--server NAME=URL --token T" for others)
	@hack/test.sh bench-api $(ARGS)

.PHONY: fuzz
fuzz: ## Every fuzz target for 10 minutes (FUZZ_TIME=d)
	@hack/test.sh fuzz

.PHONY: bench-minijenkins
bench-minijenkins: ## minijenkins: time to start, memory, 200 builds at once, 10 MB/s of log; fails if a limit is missed
	@hack/test.sh bench-minijenkins

##@ Generate and verify

.PHONY: generate
generate: ## Regenerate deepcopy code, CRDs, RBAC, the chart's copies of them, openapi.json and docs/minijenkins-conformance.md
	@hack/generate.sh

.PHONY: verify
verify: ## Generated files, formatting, vet, lint, tidy and known vulnerabilities
	@GOLANGCI_LINT_VERSION=$(GOLANGCI_LINT_VERSION) GOVULNCHECK_VERSION=$(GOVULNCHECK_VERSION) hack/verify.sh

.PHONY: lint
lint: ## Run golangci-lint
	@GOLANGCI_LINT_VERSION=$(GOLANGCI_LINT_VERSION) hack/lint.sh

.PHONY: fmt
fmt: ## Format the Go code
	@gofmt -w cmd pkg config swagger-ui test

##@ Help

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*##"; printf "Usage: make TARGET\n"} \
	  /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-zA-Z0-9_.-]+:.*##/ {printf "  %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
