.DEFAULT_GOAL := help
SHELL := bash
export CGO_ENABLED ?= 0
GO ?= go
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

help: ## Show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build bin/troupe, one static binary
	@mkdir -p bin
	$(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/troupe ./cmd/troupe

test: ## Run every test
	$(GO) test ./...

race: ## Run every test under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race ./...

lint: ## Format, vet and the rules of the house
	@test -z "$$(gofmt -l $$(git ls-files '*.go' | grep -v '\.pb\.go$$'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...

clean: ## Remove what was built
	rm -rf bin out .troupe

.PHONY: help build test race lint clean
