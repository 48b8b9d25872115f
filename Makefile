.DEFAULT_GOAL := help
SHELL := bash
export CGO_ENABLED ?= 0
GO ?= go
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GOFILES = $(shell git ls-files '*.go' | grep -v '\.pb\.go$$')
SEEDS ?= 30
FUZZTIME ?= 60s
ROWS ?= 1000000
FLIGHTS ?= ../shared/data/flights/flights.parquet

help: ## Show this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: build ## Run the main jobs on a local cluster of three processes, killing one on the way
	bin/troupe demo --rows $(ROWS) $(if $(wildcard $(FLIGHTS)),--flights $(FLIGHTS))

build: ## Build bin/troupe, one static binary
	@mkdir -p bin
	$(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/troupe ./cmd/troupe

test: ## Run every test
	$(GO) test -timeout 20m ./...

race: ## Run every test under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -timeout 20m -race -short ./...

arm64: ## Run the tests of what computes as on arm64, emulated (needs qemu-user-static)
	@for p in $$($(GO) list ./ml/... ./data/... | grep -v test$$); do GOARCH=arm64 CGO_ENABLED=0 $(GO) test -short -timeout 20m -exec qemu-aarch64-static $$p || exit 1; done

sim: ## Simulate SEEDS=30 clusters under faults
	TROUPE_SIM_SEEDS=$(SEEDS) $(GO) test -count=1 -run TestSim ./actors/sim

chaos: build ## Run SEEDS=30 real clusters under kill -9 and SIGSTOP, and compare digests
	TROUPE_CHAOS_SEEDS=$(SEEDS) $(GO) test -count=1 -timeout 60m -v -run TestChaos ./cmd/troupe

e2e: ## Run the tests that start real processes
	$(GO) test -count=1 -timeout 20m ./cmd/troupe

fuzz: ## Fuzz the readers of foreign bytes and of blocks, FUZZTIME=60s each
	@for f in FuzzRead FuzzFooter FuzzPage FuzzDictionary; do $(GO) test -run '^$$$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x ./data/parquet || exit 1; done
	@for p in csv ndjson arrow block; do $(GO) test -run '^$$$$' -fuzz '^Fuzz' -fuzztime $(FUZZTIME) -fuzzminimizetime 1x ./data/$$p || exit 1; done

bench: bench-setup build ## Measure against the peers; BENCH=train OUT=file.json for one
	$(GO) build -o bin/bench/bench ./cmd/bench
	bin/bench/bench $(if $(BENCH),-bench $(BENCH)) $(if $(OUT),-out $(OUT)) $(if $(RUNS),-runs $(RUNS))

bench-setup:
	@mkdir -p bin/bench
	@/usr/bin/python3 -c 'import torch, pandas' 2>/dev/null || { apt-get update -qq && apt-get install -y -qq python3-torch python3-pandas; }
	@cd bin/bench && test -d node_modules/nodejs-polars-linux-x64-gnu -a -d node_modules/@duckdb || npm install --silent --no-fund --no-audit --force nodejs-polars nodejs-polars-linux-x64-gnu @duckdb/node-api

lint: ## Format, vet and the rules of the house
	@out="$$(gofmt -l $(GOFILES))"; test -z "$$out" || { echo "not formatted: $$out"; exit 1; }
	$(GO) vet ./...
	$(GO) test -count=1 ./internal/lint

fmt: ## Format the source
	gofmt -w $(GOFILES)

proto: ## Generate the messages (needs protoc and protoc-gen-go)
	protoc --go_out=. --go_opt=paths=source_relative proto/troupe/v1/*.proto

generate: ## Generate the assembly of ml/kernels
	$(GO) generate ./ml/kernels/...

check: lint test race ## What CI runs

clean: ## Remove what was built
	rm -rf bin out .troupe

.PHONY: help demo build test race arm64 sim chaos e2e fuzz bench bench-setup lint fmt proto generate check clean
