# The two commands are `make test` and `make demo`. Everything else is for people who work on PgOtter.
#
#   make test [ARGS="--test tidy"]     every test that fits into 10 minutes; ends with a line that names what could not run
#   make demo [FOR=30s]                PostgreSQL, two replicas, PgOtter on 6432 and a load; Ctrl-C ends it and cleans up
#   make lint                          formatting and clippy, warnings are errors
#   make bench [ARGS=...]              against PgBouncer, alternating; PGBOUNCER= chooses the binary
#   make test-long CLIENTS=500 SECONDS=60      the long suites, with their sizes: waiters in their order, and PostgreSQL restarted
#                                      20 times under 1,000 idle clients
#   make test-leaks HANDOVERS=1000000 SEED=random     sessions of hostile clients handed from one to another, on an optimized build
#   make test-routing PAIRS=100000     where each statement of the workload runs, and pairs of a write and a read of which none is stale, on an
#                                      optimized build
#   make test-failover PROMOTIONS=20   replicas promoted one after the other under load, on an optimized build: nothing is lost or run twice
#   make test-truth STATEMENTS=100000 NAMES=10000     statements of known duration in each form of the protocol, and thousands of names,
#                                      on an optimized build: what is told of them is what they took
#   make test-drivers                  drivers of several languages, installed with apt, and into target/drivers with pip, npm, cargo
#   make test-versions [VERSIONS=18] [ARGS="--test versions"]      tests on PostgreSQL 15 to 18, fetched with npm and pip
#   make test-regression               PostgreSQL's regression files with its own parser for an oracle, fetched with apt and pip
#   make build                         target/release/pgotter, built twice: the first counts what runs, the second keeps that close together
#   make install                       the same, in ~/.cargo/bin
#   make quick                         target/quick/pgotter: optimized, in half the time; what the demo and these tests run
#
# NO_INSTALL=1 forbids the preflight to install anything, PGBIN=/folder/of/initdb chooses a PostgreSQL.

SHELL := bash
# A toolchain installed a minute ago is not yet on the PATH of the shell that is open.
export PATH := $(PATH):$(HOME)/.cargo/bin

target := $(abspath $(or $(CARGO_TARGET_DIR),target))

CLIENTS ?= 500
SECONDS ?= 60
HANDOVERS ?= 100000
PAIRS ?= 100000
PROMOTIONS ?= 20
STATEMENTS ?= 100000
NAMES ?= 10000
VERSIONS ?= 15 16 17 18

# Runs tests and closes with the line that names what could not run. $(1): the arguments of `cargo test`.
define run_tests
@bash .ci/in-scratch bash .ci/run-tests $(1)
endef

.PHONY: help build install quick lint test demo bench test-long test-leaks test-routing test-failover test-truth test-drivers test-versions test-regression preflight preflight-lint preflight-test preflight-bench preflight-versions

help:
	@sed -n 's/^#   //p' Makefile

build:
	@bash .ci/build

install: build
	install -D -m 755 $(target)/release/pgotter $(or $(CARGO_HOME),$(HOME)/.cargo)/bin/pgotter

quick:
	cargo build --profile quick --locked

lint: preflight-lint
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

test: preflight-test
	$(call run_tests,--no-fail-fast $(ARGS))

# cargo replaces itself with the program, so a signal meets no shell in between. See .ci/demo.
demo: preflight
	@cargo build --profile quick --locked
	@exec bash .ci/demo cargo run --profile quick --locked --quiet -- demo $(if $(FOR),--for $(FOR))

# What people run is measured: `cargo bench` builds PgOtter with what only tests need, such as tokio's clock that stands still.
bench: preflight-bench build
	@mkdir -p $(target)/bench && cp $(target)/release/pgotter $(target)/bench/pgotter
	PGOTTER=$(target)/bench/pgotter cargo bench --locked --bench against_pgbouncer -- $(ARGS)

test-long: preflight
	$(call run_tests,--release --test long --test differential --test sessions $(ARGS) -- --ignored --skip leaks:: --nocapture)

# The clients are in a debug build, as in `make test`.
test-leaks: preflight quick
	$(call run_tests,--test sessions $(ARGS) -- leaks:: --ignored --nocapture)

test-routing: preflight quick
	$(call run_tests,--test routing $(ARGS) -- --ignored --nocapture)

test-failover: preflight quick
	$(call run_tests,--test running $(ARGS) -- failover:: --ignored --nocapture)

test-truth: preflight quick
	$(call run_tests,--test watching $(ARGS) -- truth:: --ignored --nocapture)

test-regression: preflight
	@bash tests/regression/fetch "$(REGRESSION)"
	$(call run_tests,--test regression $(ARGS) -- --ignored --nocapture)

test-drivers: preflight
	@bash .ci/install-drivers "$${CARGO_TARGET_DIR:-target}/drivers"
	@bash .ci/build-drivers "$${CARGO_TARGET_DIR:-target}/drivers"
	$(call run_tests,--test drivers $(ARGS) -- --ignored)

test-versions: preflight-versions
	@bash .ci/in-scratch bash .ci/test-versions "$(VERSIONS)" $(ARGS)

# Most tests wait most of the time, for timers and for PostgreSQL. Where there are more cores, as many at a time as there are do.
test: export RUST_TEST_THREADS := $(or $(RUST_TEST_THREADS),$(shell n=$$(nproc); echo $$((n > 4 ? n : 2 * n))))
test-regression: export REGRESSION := $(CURDIR)/target/regression
test-leaks: export PGOTTER_LONG_HAND_OVERS := $(HANDOVERS)
test-leaks: export PGOTTER_PROGRAM := $(target)/quick/pgotter
test-routing: export PGOTTER_LONG_PAIRS := $(PAIRS)
test-routing: export PGOTTER_PROGRAM := $(target)/quick/pgotter
test-failover: export PGOTTER_LONG_PROMOTIONS := $(PROMOTIONS)
test-failover: export PGOTTER_PROGRAM := $(target)/quick/pgotter
test-truth: export PGOTTER_LONG_STATEMENTS := $(STATEMENTS)
test-truth: export PGOTTER_LONG_NAMES := $(NAMES)
test-truth: export PGOTTER_PROGRAM := $(target)/quick/pgotter
test-long: export PGOTTER_LONG_CLIENTS := $(CLIENTS)
test-long: export PGOTTER_LONG_SECONDS := $(SECONDS)

preflight:
	@bash .ci/preflight

preflight-test:
	@bash .ci/preflight test

preflight-lint:
	@bash .ci/preflight lint

preflight-bench:
	@bash .ci/preflight bench

preflight-versions:
	@bash .ci/preflight versions
