# SPDX-License-Identifier: Apache-2.0

PREFIX  ?= /usr/local
DESTDIR ?=
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

# contrib/bootstrap puts a Go here where the distribution's is too old.
CACHE ?= $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)
# Asked at each use: the bootstrap may just have put it there.
GO    ?= $(shell test -x $(CACHE)/podunit-go/go/bin/go && echo $(CACHE)/podunit-go/go/bin/go || echo go)

# containers_image_openpgp and exclude_graphdriver_btrfs: no gpgme, no libbtrfs; netgo and osusergo: a static binary
# must not load name service modules. apparmor: without it, the library says that no kernel has AppArmor.
TAGS := apparmor containers_image_openpgp exclude_graphdriver_btrfs netgo osusergo

# The zsh of Debian looks in another place for what packages bring.
BASHCOMP ?= $(PREFIX)/share/bash-completion/completions
FISHCOMP ?= $(PREFIX)/share/fish/vendor_completions.d
ZSHCOMP  ?= $(if $(filter /usr,$(PREFIX)),$(PREFIX)/share/zsh/vendor-completions,$(PREFIX)/share/zsh/site-functions)

# packages whose tests have a line like this
packages = $$(grep -rl --include=*_test.go '$(1)' generator runner contrib units testdata | xargs -n 1 dirname | sort -u | sed 's|^|./|')

FUZZTIME ?= 20s
LINT     := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' Makefile

.PHONY: bootstrap
bootstrap: ## install what the build needs (Debian 12 or 13, as root): compiler, git, Go
	@contrib/bootstrap

# -w: what needs PKCS#11 for encrypted images would dlopen it, and the linker says that this takes the same glibc
runner = CGO_ENABLED=1 $(GO) build -trimpath -tags "$(TAGS)" \
	-ldflags '-s -w -X main.version=$(VERSION) -linkmode external -extldflags "-static -Wl,-w"'

.PHONY: build
build: checker ## bin/podunit, libexec/podunit/podunit and bin/podunit-generator, static, for PREFIX
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION) -X main.bindir=$(PREFIX)/bin" -o bin/podunit-generator ./generator
	@# What services execute, and the program with all verbs: see runner/cli/handover.go.
	$(runner) -o bin/podunit ./runner
	$(runner) -o libexec/podunit/podunit ./runner/full

# No C library: that alone would take more memory than the program. So it has system calls for x86-64 and arm64 only;
# elsewhere the runtime executes each check.
CHECKER := libexec/podunit/podunit-checker
checkers = $(filter x86_64-% aarch64-%,$(shell $(CC) -dumpmachine))
checkflags := -Os -Wall -Wextra -static -nostdlib -ffreestanding -fno-stack-protector -fno-pie -no-pie \
	-fno-asynchronous-unwind-tables -Wl,--build-id=none -Wl,-z,noseparate-code -s
.PHONY: checker
checker: ## libexec/podunit/podunit-checker, which stays in a container for its checks
	@mkdir -p $(dir $(CHECKER))
	$(if $(checkers),$(CC) $(checkflags) -o $(CHECKER) runner/helper/checker/checker.c)

.PHONY: lab
lab: ## bin/podunit-lab, which boots and drives test machines: bin/podunit-lab help
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/podunit-lab ./contrib/lab

# People enable podman-auto-update.timer by habit: it is another name of ours where Podman has not brought its own.
# systemd tells the generator its mode by no argument of its own: the name does, so there are two.
.PHONY: install
install: build ## build, then install below PREFIX (default /usr/local) and DESTDIR
	install -D -m 755 bin/podunit $(DESTDIR)$(PREFIX)/bin/podunit
	install -D -m 755 libexec/podunit/podunit $(DESTDIR)$(PREFIX)/libexec/podunit/podunit
	$(if $(checkers),install -D -m 755 $(CHECKER) $(DESTDIR)$(PREFIX)/$(CHECKER))
	@# Where a root is mounted that its container could not reach in the storage: see runner/container/root.go.
	install -d -m 755 $(DESTDIR)$(PREFIX)/libexec/podunit/root
	install -D -m 755 bin/podunit-generator $(DESTDIR)$(PREFIX)/lib/systemd/system-generators/podunit-system-generator
	mkdir -p $(DESTDIR)$(PREFIX)/lib/systemd/user-generators
	ln -sf ../system-generators/podunit-system-generator $(DESTDIR)$(PREFIX)/lib/systemd/user-generators/podunit-user-generator
	@for kind in user system; do \
		[ -d units/$$kind ] || continue; \
		(cd units/$$kind && find . -type f ! -name '*.go') | while read -r f; do \
			install -D -m 644 "units/$$kind/$$f" "$(DESTDIR)$(PREFIX)/lib/systemd/$$kind/$$f" || exit 1; \
			sed -i 's|^\(Exec[A-Za-z]*=\)podunit |\1$(PREFIX)/bin/podunit |' "$(DESTDIR)$(PREFIX)/lib/systemd/$$kind/$$f" || exit 1; \
		done || exit 1; \
		wants=$(DESTDIR)$(PREFIX)/lib/systemd/$$kind/$$([ $$kind = user ] && echo default || echo multi-user).target.wants; \
		mkdir -p $$wants && ln -sf ../podunit-restart.service $$wants/podunit-restart.service || exit 1; \
		for unit in timer service; do \
			ls /usr/lib/systemd/$$kind/podman-auto-update.$$unit >/dev/null 2>&1 || \
				ln -sf podunit-auto-update.$$unit $(DESTDIR)$(PREFIX)/lib/systemd/$$kind/podman-auto-update.$$unit || exit 1; \
		done || exit 1; \
	done
	@mkdir -p $(DESTDIR)$(BASHCOMP) $(DESTDIR)$(FISHCOMP) $(DESTDIR)$(ZSHCOMP)
	bin/podunit completion bash >$(DESTDIR)$(BASHCOMP)/podunit
	bin/podunit completion fish >$(DESTDIR)$(FISHCOMP)/podunit.fish
	bin/podunit completion zsh >$(DESTDIR)$(ZSHCOMP)/_podunit
	@for page in $(wildcard contrib/doc/*.[1-8]); do \
		install -D -m 644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/} || exit 1; \
	done
	install -D -m 644 contrib/editor/vim/syntax/quadlet.vim $(DESTDIR)$(PREFIX)/share/vim/vimfiles/syntax/quadlet.vim
	install -D -m 644 contrib/editor/keys.json $(DESTDIR)$(PREFIX)/share/podunit/keys.json

# Another program of the name stays what it is: Debian's podman, for one.
.PHONY: names
names: ## podman and docker as names of the podunit that is installed below PREFIX, where they are nobody else's
	@for name in podman docker; do \
		link=$(DESTDIR)$(PREFIX)/bin/$$name; \
		if [ "$$(readlink $$link)" != podunit ] && { [ -e $$link ] || [ -L $$link ]; }; then \
			echo "$$link is another program's: remove its package first" >&2; exit 1; \
		fi; \
		ln -sf podunit $$link || exit 1; \
	done

.PHONY: test
test: bootstrap unit lab-test ## everything: unit, golden and fuzz seeds, then the lab; installs what it needs

.PHONY: unit
unit: ## unit tests, golden cases and fuzz seeds; no root, no network
	$(GO) vet -tags "$(TAGS)" ./...
	$(GO) test -tags "$(TAGS)" ./...

# A lab waits more than it computes, so two cores carry three packages at a time. The longest begins first, and what is
# measured beside Podman comes last, alone.
measured := ^TestLab(Speed|UpdateSpeed|HealthCost)$$
.PHONY: lab-test
lab-test: lab ## tests in booted Debian machines (contrib/lab); root only, skipped otherwise
	$(GO) test -tags "$(TAGS) lab" -count=1 -p 3 -timeout 80m -run '^TestLab' -skip '$(measured)' ./runner/labtest \
		$$(echo $(call packages,^//go:build lab) | xargs -n 1 | grep -vx ./runner/labtest)
	$(GO) test -tags "$(TAGS) lab" -count=1 -p 1 -timeout 20m -run '$(measured)' ./runner/labtest ./runner/update ./runner/health

# Apart from make test: without KVM a part takes from minutes to an hour. contrib/doc/lab.md names the parts.
empty :=
PART  ?=
.PHONY: test-vm
test-vm: lab ## limits and what else needs a kernel, in virtual machines; PART=Limits for a part; root only
	$(GO) test -tags "$(TAGS) lab" -count=1 -v -timeout 24h -run '^Test(VM)?($(subst $(empty) ,|,$(strip $(PART))))' ./contrib/lab/vm

# Debian 12 has programs of 2023, newest the ones of Debian's next release. Its network cases apart, much of a lab's other tests
# holds Podman 5 or systemd 257 against podunit.
RELEASES ?= bookworm newest
.PHONY: test-releases
test-releases: lab ## the network tests with the programs of Debian 12 and of the next release; RELEASES=bookworm for one; root only
	for release in $(RELEASES); do \
		PODUNIT_LAB_DEBIAN=$$release $(GO) test -tags "$(TAGS) lab" -count=1 -p 1 -v -timeout 80m \
			-run '^TestLab(Networks|NetworksOfRoot|NetworkOptions|Edge|Pasta)$$' ./runner/labtest ./runner/network || exit 1; \
	done

.PHONY: test-keys
test-keys: lab ## keys and flags that no other test sees from inside a container; root only
	$(GO) test -tags "$(TAGS) lab" -count=1 -timeout 30m -v -run '^TestKeys$$' ./runner/labtest

# Some hours: a hundred lines of verbs, each as often as it writes. CUT='secret.*' for a part.
CUT ?= .*
.PHONY: test-cuts
test-cuts: lab ## each verb is killed before each of its writes, and what is left is judged; CUT='secret.*' for a part; root only
	$(GO) test -tags "$(TAGS) lab" -count=1 -timeout 8h -v -run '^TestCuts$$/^($(CUT))$$' ./runner/labtest

# Everything of the module with the same flags, or its hundreds of packages are compiled twice.
.PHONY: test-kubernetes
test-kubernetes: export PODUNIT_DOCUMENTS = *
test-kubernetes: lab ## a real API server and a kubelet have our YAML, and all of it is played in a lab; long the first time
	cd contrib/lab/kubernetes && export CGO_ENABLED=0 GOFLAGS=-trimpath && $(GO) vet ./... && $(GO) test -count=1 -timeout 3h ./... && \
		$(GO) build -ldflags '-s -w' -o $(CURDIR)/bin/kubelet k8s.io/kubernetes/cmd/kubelet
	PODUNIT_KUBELET=$(CURDIR)/bin/kubelet $(GO) test -tags "$(TAGS) lab" -count=1 -timeout 30m -v -run '^TestKubelet$$' ./contrib/lab/kubelet
	$(GO) test -tags "$(TAGS) lab" -count=1 -timeout 80m -run '^TestLabDocuments$$' ./runner/kube/documents

# An hour or more; GROUP=start, or several in quotes, measures a part. ROUNDS=5 is a first look.
ROUNDS ?= 20
.PHONY: bench
bench: lab ## podunit beside Podman in the lab: a table, bench/bench.json, drawings; GROUP="start stop" for a part; root only
	bin/podunit-lab bench --rounds $(ROUNDS) --out bench $(GROUP)

.PHONY: bench-compare
bench-compare: lab ## the last bench beside the committed base line; fails where podunit got slower
	@[ -e contrib/lab/bench/testdata/bench.json ] || { echo "there is no base line yet: make bench-page makes one of the last bench" >&2; exit 1; }
	bin/podunit-lab bench-compare contrib/lab/bench/testdata/bench.json bench/bench.json

.PHONY: bench-page
bench-page: lab ## the last bench becomes the base line, with its page in the documents
	mkdir -p contrib/lab/bench/testdata && cp bench/bench.json contrib/lab/bench/testdata/
	bin/podunit-lab bench-page contrib/lab/bench/testdata/bench.json >contrib/doc/bench.md

.PHONY: golden
golden: ## rewrite the expected output of the golden cases; review the diff
	$(GO) test -tags "$(TAGS)" $(call packages,flag.Bool."update") -update

.PHONY: fuzz
fuzz: ## each fuzz test for FUZZTIME (20s)
	@$(GO) list -f '{{.ImportPath}} {{.Dir}}' ./generator/... ./runner/... | while read -r pkg dir; do \
		grep -hos '^func Fuzz[A-Za-z0-9_]*' "$$dir"/*_test.go | sed 's/func //' | while read -r f; do \
			echo "$$pkg $$f"; $(GO) test -tags "$(TAGS)" -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) "$$pkg" || exit 1; \
		done || exit 1; \
	done

.PHONY: docs
docs: ## rewrite the documents that are generated from the code
	$(GO) generate ./...

.PHONY: fmt
fmt: ## fail if gofmt would change a file
	@out=$$("$$($(GO) env GOROOT)/bin/gofmt" -l $$(git ls-files '*.go')); [ -z "$$out" ] || { echo "gofmt would change:"; echo "$$out"; exit 1; }

.PHONY: lint
lint: fmt ## gofmt, vet, and golangci-lint (built on first use: minutes)
	$(GO) vet -tags "$(TAGS) lab" ./...
	$(GO) run $(LINT) run --build-tags "$(TAGS) lab"

.PHONY: demo
demo: bootstrap build lab ## the media pod in a booted Debian machine, from nothing to a reboot
	contrib/demo

.PHONY: clean
clean: ## what was built here; for labs and their cache: bin/podunit-lab rm --all
	rm -rf bin libexec bench
