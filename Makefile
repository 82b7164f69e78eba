# What a newcomer needs. `make` alone lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
EXIT ?= 0
KILLS ?= 200
HANDOVERS ?= 300
MINUTES ?= 10
SEEDS ?= 10000
STORMS ?= 60
CONNECTORS ?= 1000
EXAMPLES ?= 40
ROUNDS ?= 1
SCENES ?=
STEPS ?= 60
WORKER_KILLS ?= 30

.PHONY: help demo demo-cdc test check fmt docs chaos brokers worker-kills handover storms memory fuzz cluster-seeds flow-seeds flow-plot flow-acceptance bench crowd schemathesis build services-up services-down clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' Makefile

demo: ## first run: embedded Kafka, csv and generated records into SQLite and files, then a slowed sink and a source that backs off (EXIT=1 ends after the verification)
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

chaos: ## the long proof of exactly-once, hours: KILLS=200 random kill -9 under load, sinks ended STEPS=60 times at each step; SCENES="files xa" for some
	@KILLS=$(KILLS) ROUNDS=$(STEPS) scripts/chaos $(SCENES)

brokers: ## three brokers below three workers under load, restarted, killed and frozen in every role, ROUNDS=1 times; ledger, REST
	@scripts/setup && scripts/services install kafka3-1
	@cargo build -p elasticflow-server --features elasticflow-server/failpoints
	@env $$(scripts/services env kafka3) EF_BROKERS=$(ROUNDS) \
	    cargo test --workspace --features elasticflow-server/failpoints --test cluster -- --nocapture brokers::brokers_are

worker-kills: ## WORKER_KILLS=30 kill -9 of one of three workers, one each ten seconds under load: time to all RUNNING, ledger
	@scripts/setup && scripts/services up kafka
	@cargo build -p elasticflow-server --features elasticflow-server/failpoints
	@env $$(scripts/services env kafka) EF_WORKER_KILLS=$(WORKER_KILLS) \
	    cargo test --workspace --features elasticflow-server/failpoints --test cluster -- --nocapture failures::tasks_of_a_killed

handover: ## the long proof of the MySQL snapshot: HANDOVERS=300 a server under writes, DDL and kills; table = replayed topic
	@scripts/setup && scripts/services up mysql mariadb
	@env $$(scripts/services env mysql mariadb) EF_HANDOVERS=$(HANDOVERS) EF_RANDOM_TABLES=$(HANDOVERS) EF_CUT_STEP=1 \
	    cargo test -p elasticflow-mysql --test it -- --nocapture hand_over rows_of_random cut_after_any_byte

storms: ## the long proof of DDL under writes: STORMS=60 seeds on MySQL and MariaDB, each record compared with its row
	@scripts/setup && scripts/services up mysql mariadb
	@env $$(scripts/services env mysql mariadb) EF_STORMS=$(STORMS) \
	    cargo test -p elasticflow-mysql --test it -- --nocapture storms::

memory: ## memory of change capture: one transaction of 2,000,000 rows and 2,000 tables read by the task alone, then 5,000,000 and 2,000 by a whole worker into Kafka
	@scripts/setup && scripts/services up mysql
	@env $$(scripts/services env mysql) EF_MEMORY_ROWS=2000000 EF_MEMORY_TABLES=2000 \
	    cargo test -p elasticflow-mysql --test it -- --nocapture --test-threads=1 memory::
	@scripts/bench large tables

fuzz: ## coverage-guided fuzzing of all that reads bytes of the log: MINUTES=10 a target
	@MINUTES=$(MINUTES) scripts/fuzz

flow-seeds: ## how long the division among 10,000 sources takes, then SEEDS=10000 seeds of simulated workloads against the rate law
	@cargo run --release -p elasticflow-flow --example allocation
	@EF_FLOW_SEEDS=$(SEEDS) cargo test -p elasticflow-flow --test it -- --nocapture the_law_holds

cluster-seeds: ## SEEDS=10000 seeds of the whole control plane in played time: kills, freezes, cuts, lost answers
	@EF_SEEDS=$(SEEDS) cargo test -p elasticflow-herder --test it -- --nocapture sim::whatever

flow-plot: ## draws one simulated run of the rate law into docs/flow/law.svg
	@EF_FLOW_PLOT=$(CURDIR)/docs/flow/law.svg cargo test -p elasticflow-flow --test it -- a_run_can_be_drawn

flow-acceptance: ## bars of elastic flow that are about time: a slow sink with priorities on three workers, the leader killed; what flow control costs
	@scripts/flow-acceptance

bench: ## speed and memory on real servers; prints a table, writes bench-results/
	@scripts/bench

crowd: ## CONNECTORS=1000 on three workers: creation, restarts, kill -9, latency of REST, memory; writes bench-results/
	@scripts/crowd --connectors $(CONNECTORS)

schemathesis: ## EXAMPLES=40 generated requests a method from docs/openapi.json: no 5xx, no answer that the document does not describe
	@EXAMPLES=$(EXAMPLES) scripts/schemathesis

services-up: ## real servers for tests
	@scripts/services up kafka mysql elasticsearch

services-down: ## ends them
	@scripts/services down all

clean: ## removes build output and the demo's data
	@cargo clean && rm -rf .demo bench-results
