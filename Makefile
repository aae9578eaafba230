# `make help` lists the targets. Everything that is built or fetched lands in build/ and .cache/, and in Go's own caches.

# Go as scripts/setup.sh left it, if the machine's own is too old.
export PATH := $(CURDIR)/.cache/go/bin:$(PATH)
unexport GOROOT

MODULES := enclave parent shared
PACKAGES := ./enclave/... ./parent/... ./shared/...
FUZZTIME ?= 20s
BENCHTIME ?= 2s
# Such as -figures plain,burst; build/bench -h lists them.
BENCHFLAGS ?=
# How long the storm is: kills for each store, conflicting pairs, how long PostgreSQL is stopped, and how often each fault strikes.
KILLS ?= 1000
PAIRS ?= 1000000
PAUSE ?= 20s
ROUNDS ?= 20
CHURN ?= 1000000
# How many keys demo-custody imports.
KEYS ?= 100
# Such as --blobs DIR of scripts/build-eif.sh, and --kernels DIR of scripts/release.sh, which say where AWS's kernel is.
EIFFLAGS ?=
RELEASEFLAGS ?=

# Tools are pinned here and nowhere else.
GOLANGCI_LINT := v2.15.0
GOVULNCHECK := v1.8.0
TOOLS := .cache/tools
LINTER := $(TOOLS)/golangci-lint-$(GOLANGCI_LINT)
TOXIPROXY := v2.12.0
BADNET := $(TOOLS)/toxiproxy-server

# GOWORK=off because it changes the binary's bytes, and images are built so; the rest makes builds repeatable.
BUILD := GOWORK=off CGO_ENABLED=1 go build -trimpath -buildvcs=false
OS := $(shell uname -s)

.PHONY: help setup build split run demo demo-custody check test e2e-vsock e2e-nsm storm lint bench fuzz fuzz-api oracle clients eif images chart reproduce release fmt clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## look for Go, a C compiler and make; say what is missing and install it where possible
	@sh scripts/setup.sh

build: split ## build all binaries into build/
ifeq ($(OS),Linux)
	cd enclave && $(BUILD) -tags netgo,osusergo -ldflags '-linkmode external -extldflags "-static"' -o ../build/chamber-enclave ./cmd/chamber-enclave
endif

# What run and demo need: the two product binaries, the stand-in of AWS KMS and the demonstration.
split: setup
	@mkdir -p build
	cd enclave && $(BUILD) -o ../build/ ./cmd/containment-chamber ./e2e/demo ./e2e/kmsd
	cd parent && $(BUILD) -o ../build/ ./cmd/containment-chamber-enclave-proxy

run: split ## build, start the whole split on this machine, show it at work, stay up until Ctrl-C
	build/demo --stay

demo: split ## the same, but end after the demonstration
	build/demo

demo-custody: split ## the whole story of a master key, three accounts, a hostile host and an upgrade included, with KEYS keys (100); a minute or two
	@sh scripts/setup.sh tests
	cd enclave && $(BUILD) -o ../build/ ./e2e/custody
	build/custody -keys $(KEYS)

check: ## vet, lint if the linter is there, and the tests that need no service; for every save
	go vet $(PACKAGES)
	@if [ -x $(LINTER) ]; then echo $(LINTER) run; $(LINTER) run $(PACKAGES); else echo "no linter yet: make lint installs it"; fi
	go test -short -timeout 2m $(PACKAGES)

test: setup $(BADNET) ## every test of the three modules, with the race detector
	@sh scripts/setup.sh tests
	go test -race -timeout 10m $(PACKAGES)
	cd scripts/release && GOWORK=off go vet ./... && GOWORK=off go test ./...
	scripts/release/test.sh

e2e-vsock: setup ## the split over real AF_VSOCK, in a guest that QEMU boots without KVM; needs Debian, a minute or two
	@scripts/e2e-vsock.sh

e2e-nsm: setup ## our enclave image on QEMU's nitro-enclave machine, with its security module, over vsock; builds that QEMU the first time, some ten minutes
	@scripts/e2e-nsm.sh

storm: split $(BADNET) ## kills, faults and races against every slashing store, faults around parent and enclave, and a million connections through it, for an hour or so: KILLS, PAIRS, PAUSE, ROUNDS, CHURN
	@sh scripts/setup.sh tests
	go test -count 1 -v -timeout 6h ./enclave/e2e/storm -storm.kills $(KILLS) -storm.pairs $(PAIRS) -storm.pause $(PAUSE)
	go test -count 1 -v -timeout 6h ./enclave/e2e/faults -faults.rounds $(ROUNDS)
	cd enclave && $(BUILD) -o ../build/ ./e2e/relay
	build/relay -churn $(CHURN)

lint: setup $(LINTER) ## format, vet, linters, shell scripts, known vulnerabilities
	@unformatted=$$(gofmt -l $(MODULES)); if [ -n "$$unformatted" ]; then echo "not formatted (make fmt):"; echo "$$unformatted"; exit 1; fi
	go vet $(PACKAGES)
	$(LINTER) run $(PACKAGES)
	@if command -v terraform >/dev/null 2>&1; then echo "terraform fmt, test"; sh scripts/terraform-test.sh; else echo "no terraform here: its modules not tested"; fi
	@if command -v shellcheck >/dev/null 2>&1; then echo shellcheck; shellcheck -x $$(git ls-files "*.sh") .ci/run; else echo "no shellcheck here: shell scripts not linted"; fi
	@sh scripts/vulncheck.sh $(GOVULNCHECK) $(MODULES)

# Built from source, so that the same Go compiles the linter and the code.
$(LINTER):
	@echo "installing golangci-lint $(GOLANGCI_LINT) into $(TOOLS), about two minutes the first time"
	@mkdir -p $(TOOLS)
	GOWORK=off GOBIN=$(CURDIR)/$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT)
	@mv $(TOOLS)/golangci-lint $@

# A proxy that cuts, delays and swallows, for the tests of stores that cannot be reached.
$(BADNET):
	@echo "installing toxiproxy $(TOXIPROXY) into $(TOOLS)"
	@mkdir -p $(TOOLS)
	GOWORK=off GOBIN=$(CURDIR)/$(TOOLS) go install github.com/Shopify/toxiproxy/v2/cmd/server@$(TOXIPROXY)
	@mv $(TOOLS)/server $@

bench: split $(BADNET) ## what a signature costs in the running signer, against the bare one; then the benchmarks of the parts
	@sh scripts/setup.sh tests
	cd enclave && $(BUILD) -o ../build/ ./e2e/bench ./e2e/relay
	@sh scripts/bench.sh $(BENCHTIME) $(BENCHFLAGS)

fuzz: setup ## every fuzz target for FUZZTIME (20s)
	@sh scripts/fuzz.sh $(FUZZTIME)

fuzz-api: setup ## what a running signer answers against its description; needs Python 3.11, some four minutes
	@sh scripts/fuzz-api.sh

oracle: setup ## signing roots against those of lodestar, measurements of images against AWS's library; needs Node 20, npm and Rust
	@sh scripts/oracle.sh
	@sh scripts/oracle/eif/run.sh

clients: split ## the signer clients of Lodestar and Prysm against the signer; needs Node 20 and npm
	@sh scripts/clients.sh build/containment-chamber

eif: setup ## the enclave image, into build/, with its registers; of a Debian kernel unless scripts/build-eif.sh is told of AWS's
	@scripts/build-eif.sh $(EIFFLAGS)

images: split ## the container images with buildah, twice, compared, and the demonstration through their file systems; needs Debian and root
	@[ -s build/containment-chamber.eif ] || scripts/build-eif.sh
	@scripts/images.sh --twice --run

chart: setup ## the Helm chart: lint, golden manifests, schemas, alerts; tools are built the first time, some ten minutes
	@scripts/chart-test.sh

reproduce: setup ## build the release twice, as unlike as one machine allows, and compare every file and every register
	@scripts/reproduce.sh $(RELEASEFLAGS)

release: setup ## the files of a release, into build/release
	@scripts/release.sh $(RELEASEFLAGS)

fmt: setup $(LINTER) ## format the Go files
	$(LINTER) fmt $(PACKAGES)

clean: ## remove what was built; the caches stay
	rm -rf build
