# make demo    real mails through a private Postfix with Assay beside it, and what the recipient finds
# make test    every check and every test, with real Postfix and Sendmail
# make clients what mail clients make of delivered messages, with a real Thunderbird too
# make html    hours of HTML in Chromium: all vectors, generated documents, pictures of newsletters before and after
# make packages  deb and rpm for amd64 and arm64 in dist/packages, the same octets whenever they are built
# make booted    the package under a real systemd, in a container that boots; too large to run every time
# make image     a container image in dist/image, without a container engine
#
# Both install what they need on Debian 12 (packaging/test/deps.sh). What they build is in dist/.

export PATH := $(PATH):/usr/local/go/bin:/usr/sbin:/sbin

GO    := go
# How an ordinary user runs an MTA; root just does.
SUDO  := $(shell [ "$$(id -u)" -eq 0 ] || echo sudo -E env PATH="$$PATH:/usr/local/go/bin:/usr/sbin:/sbin")
# Packages whose tests run MTAs, which only root can. They take minutes; all others take seconds.
SLOW  := ./cmd/internal/mtatest ./cmd/internal/e2e
# Packages whose tests need packages, a Debian to install them on, and root.
PACKED := ./cmd/internal/packagetest
# How packages for tests are built: without the revision, which only a work tree has.
PACK   := BUILDVCS=false VERSION=0.0.1~test SOURCE_DATE_EPOCH=1700000000 ARCHES=$$($(GO) env GOHOSTARCH)
FAST   = $(shell $(GO) list ./... | grep -v -e /internal/mtatest$$ -e /internal/e2e$$ -e /internal/packagetest$$)
# Readers of one format have no goroutines and share nothing; the race detector would only be slow there.
RACE   = $(shell $(GO) list ./... | grep -v -e /internal/mtatest$$ -e /internal/e2e$$ -e /internal/packagetest$$ -e /scan/archive/ -e /scan/document/ -e /scan/sealed$$ -e /scan/html)
# On Debian a missing MTA is a failure, not a skipped test.
MTAS  := $(shell command -v apt-get >/dev/null 2>&1 && echo ASSAY_REQUIRE_MTA=1)

# Says which tests did not run and why, and fails for all that have to. Absent may be the foreign test vectors, and IPv6, and
# what make html runs; where packaging/test/deps.sh cannot install anything, whatever is not installed.
REPORT := $(GO) run ./cmd/internal/testreport
ABSENT := $(if $(MTAS),$(if $(SUDO),only root may mount|)ASSAY_VECTORS|IPv6|ASSAY_CHROMIUM_FUZZ|ASSAY_LAYOUT|ASSAY_THUNDERBIRD,.)

.PHONY: all build packages booted image demo test lint fast race e2e packed html clients deps root clean

all: build

build:
	CGO_ENABLED=0 $(GO) build -trimpath -o dist/assay ./cmd/assay

packages:
	packaging/build.sh dist/packages

# Installs, sets up, upgrades, breaks, removes and purges the package in a Debian of its own with systemd as first process.
booted: root
	@packaging/test/deps.sh booted
	@rm -rf dist/test/booted && $(PACK) FORMATS=deb packaging/build.sh $(CURDIR)/dist/test/booted
	@$(SUDO) packaging/test/booted.sh dist/test/booted/*.deb

image:
	packaging/image.sh dist/image

demo: root
	@packaging/test/deps.sh demo
	@CGO_ENABLED=0 $(GO) build -buildvcs=false -o dist/demo/assay ./cmd/assay
	@$(GO) build -buildvcs=false -o dist/demo/demo ./cmd/demo
	@$(SUDO) dist/demo/demo -assay dist/demo/assay

# The last two mostly wait, and do not meet: packages are installed in namespaces without a network.
test: root deps
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory fast
	@$(MAKE) --no-print-directory race
	@$(MAKE) --no-print-directory -j2 --output-sync=target e2e packed

# An MTA changes its identity when it delivers. Better to say so now than in the middle.
root:
	@[ "$$(id -u)" -eq 0 ] || command -v sudo >/dev/null 2>&1 || \
		{ echo "Only root can run an MTA, and there is no sudo here. Run make as root." >&2; exit 1; }

deps:
	@packaging/test/deps.sh test

lint:
	@files=$$(gofmt -l cmd milter rules scan verify); [ -z "$$files" ] || { echo "not formatted by gofmt:"; echo "$$files"; exit 1; }
	$(GO) vet ./...
	$(GO) run honnef.co/go/tools/cmd/staticcheck ./...

# Workers keep to their memory, and see no files, when the program is built as it is shipped: without C.
fast:
	$(GO) test -json $(filter-out assay/scan/worker,$(FAST)) | $(REPORT) -allow '$(ABSENT)'
	CGO_ENABLED=0 $(GO) test -json ./scan/worker | $(REPORT) -allow '$(ABSENT)'

race:
	$(GO) test -json -race -short $(RACE) | $(REPORT) -allow '$(ABSENT)|race detector|-short'

# The program is built here, by the user who owns the tree; the tests run it as root.
e2e: root
	@CGO_ENABLED=0 $(GO) build -buildvcs=false -o dist/test/assay ./cmd/assay
	@$(GO) build -buildvcs=false -race -o dist/test/assay-race ./cmd/assay
	ASSAY_BINARY=$(CURDIR)/dist/test/assay ASSAY_RACE_BINARY=$(CURDIR)/dist/test/assay-race $(MTAS) \
		$(GO) test -json -timeout 15m $(if $(SUDO),-exec '$(SUDO)') $(SLOW) | $(REPORT) -allow '$(ABSENT)'

# Packages of this machine's architecture from two copies of the tree, which have to be the same; then they are installed.
packed: root
	@rm -rf dist/test/packages && mkdir -p dist/test/packages/tree/dist
	@cp -R go.mod go.sum LICENSE README.md CHANGELOG.md cmd milter rules scan verify packaging dist/test/packages/tree/
	@$(PACK) packaging/build.sh $(CURDIR)/dist/test/packages/one
	@$(PACK) NFPM=$(CURDIR)/dist/tools/nfpm-v2.45.0 dist/test/packages/tree/packaging/build.sh $(CURDIR)/dist/test/packages/two
	@$(GO) build -buildvcs=false -o dist/test/release ./cmd/internal/release
	@CGO_ENABLED=0 $(GO) build -buildvcs=false -o dist/test/packages/assay ./cmd/assay
	ASSAY_PACKAGES=$(CURDIR)/dist/test/packages/one ASSAY_PACKAGES_AGAIN=$(CURDIR)/dist/test/packages/two ASSAY_RELEASE=$(CURDIR)/dist/test/release \
		ASSAY_BINARY=$(CURDIR)/dist/test/packages/assay $(MTAS) $(GO) test -json -timeout 15m $(if $(SUDO),-exec '$(SUDO)') $(PACKED) | $(REPORT) -allow '$(ABSENT)'

# What takes too long for every run: every vector of HTML in Chromium, generated documents, and how newsletters look before and
# after (pictures below dist/html).
html: deps
	ASSAY_CHROMIUM_ALL=1 $(GO) test -count=1 -timeout 60m -run Chromium -v ./scan/html
	ASSAY_CHROMIUM_FUZZ=$(or $(N),20000) $(GO) test -count=1 -timeout 120m -run Chromium -v ./scan/html
	mkdir -p dist/html && ASSAY_LAYOUT=all TMPDIR=$(CURDIR)/dist/html $(GO) test -count=1 -timeout 60m -run Layout -v ./scan/html

# A real Thunderbird with the filters and preferences of packaging/clients, too large to install for every run.
clients: deps
	@packaging/test/deps.sh clients
	ASSAY_THUNDERBIRD=$$(command -v thunderbird) $(GO) test -count=1 -v ./cmd/internal/clienttest

clean:
	rm -rf dist
