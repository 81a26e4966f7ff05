# The same words here and in continuous integration. `make` alone lists them.
# One set of build artefacts serves `check` and `test`, with the fail points that `FAILPOINTS` sets; nothing
# is built in release but by `run`, `cluster` and `bench`, and nothing there has fail points. `faults` has a
# profile of its own.

CARGO ?= cargo
TESTED := --locked --features failpoints

.PHONY: help run cluster check test faults bench deny

help:
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 16

run: ## start a node on http://127.0.0.1:8080 with people and rooms to look at
	$(CARGO) run --release -- serve --demo

cluster: ## start three nodes, Redis and Postgres on this machine; Ctrl-C ends them
	scripts/needs.sh postgres redis
	$(CARGO) build --release --locked
	scripts/cluster.sh

check: ## format, lints, documentation, migrations up and down on both databases
	$(CARGO) fmt --all --check
	$(CARGO) clippy --all-targets $(TESTED) -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --document-private-items $(TESTED)
	scripts/needs.sh postgres
	$(CARGO) test $(TESTED) --test it -- migrations:: tidy::

test: ## install what the tests need, then run all of them
	scripts/needs.sh postgres redis python node chromium
	scripts/npm.sh tests/web
	$(CARGO) test $(TESTED) --no-fail-fast

faults: ## the long form of every fault, several seeds each; takes hours
	scripts/needs.sh postgres redis
	CARGO=$(CARGO) scripts/faults.sh

bench: ## the table of figures, each against the floor of the same run
	$(CARGO) bench --locked --bench madang

deny: ## licences, advisories and sources of every crate (needs cargo-deny)
	$(CARGO) deny check
