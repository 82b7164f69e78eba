# What a newcomer needs. `make` alone lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
EXIT ?= 0
KILLS ?= 200
HANDOVERS ?= 300
ROUNDS ?= 200000

.PHONY: help demo demo-cdc test check fmt docs chaos handover fuzz bench build services-up services-down clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

demo: ## first run: embedded Kafka, csv and generated records into SQLite and files (EXIT=1 ends after the verification)
	@scripts/demo EXIT=$(EXIT)

demo-cdc: ## the main job on real servers: MySQL to Kafka to Elasticsearch, killed three times (EXIT=1 ends after the verification)
	@scripts/demo-cdc EXIT=$(EXIT)

test: ## installs what is missing and runs every test
	@scripts/test

check: ## format, lints, layers, sizes, generated docs
	@scripts/check

build: ## the optimised binary, target/release/elasticflow
	@scripts/setup && cargo build --release

fmt: ## formats the code
	@cargo fmt --all

docs: ## writes the generated option tables
	@cargo x docs

chaos: ## the long proof of exactly-once: KILLS=200 random kill -9 under load
	@scripts/chaos KILLS=$(KILLS)

handover: ## the long proof of the MySQL snapshot: HANDOVERS=300 a server under writes, DDL and kills; table = replayed topic
	@scripts/setup && scripts/services up mysql mariadb
	@env $$(scripts/services env mysql mariadb) EF_HANDOVERS=$(HANDOVERS) EF_RANDOM_TABLES=$(HANDOVERS) EF_CUT_STEP=1 \
	    cargo test -p elasticflow-mysql --test it -- --nocapture hand_over rows_of_random cut_after_any_byte

fuzz: ## ROUNDS=200000 rounds of changed bytes over the recorded events: nothing may make the decoder panic
	@EF_FUZZ_ROUNDS=$(ROUNDS) cargo test -p elasticflow-mysql --test it -- --nocapture decoder::

bench: ## speed and memory on real servers; prints a table, writes bench-results/
	@scripts/bench

services-up: ## real servers for tests
	@scripts/services up kafka mysql elasticsearch

services-down: ## ends them
	@scripts/services down all

clean: ## removes build output and the demo's data
	@cargo clean && rm -rf .demo bench-results
