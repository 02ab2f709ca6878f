.DEFAULT_GOAL := help
.PHONY: help up down clean-data secrets build test test-rabbitmq-4 check map million faults faults-long cluster simulate containers manifests pods deb alerts operations
.PHONY: upgrade memory examples types contract release-contract mutants fuzz bench bench-node bench-chain bench-versions node-of-bench bench-latency bench-growth bench-fairness bench-flame bench-micro fmt lint doc

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-15s %s\n", $$1, $$2 }'

up: ## Install what is missing, start everything, post sample webhooks and show their events
	@deploy/local/up.sh

down: ## Stop what `make up` started, and keep its data
	@deploy/local/down.sh

clean-data: down ## Delete the data, logs and tools of `make up` and `make test` (removes .run)
	rm -rf .run

secrets: ## Generate the passwords and addresses for docker-compose.yml, once
	@deploy/docker/make-secrets.sh

build: ## Build the program as it is deployed: target/release/hookswitch
	cargo build --release --locked

test: ## Run everything that CI checks: format, lints, docs, licences, deployment files, all tests
	@tests/scripts/test.sh

test-rabbitmq-4: ## Test against Debian 13's RabbitMQ 4, Redis 8 and Valkey 8; SUITE=forky for newer versions
	@tests/scripts/test-services.sh $(SUITE)

examples: ## Run the consumers of examples/ against a private broker, and check what they print and their types
	@tests/scripts/examples.sh

types: ## Generate the types of events for consumers from schemas/: examples/python/events.py, examples/node/events.ts
	@tests/scripts/examples.sh types

cluster: ## Kill, stop, cut off, freeze RabbitMQ nodes and Redis masters, under load; SUITE=forky for newer ones
	@deploy/local/install.sh rabbitmq-server redis-server iproute2
	@tests/scripts/cluster.sh $(SUITE)

upgrade: ## Upgrade an earlier state of hookswitch to this one under load; COMMIT=… names that state
	@deploy/local/install.sh rabbitmq-server redis-server
	@tests/scripts/upgrade.sh $(COMMIT)

memory: ## Take 900 webhooks of 1 MB in a memory cgroup with the documented limit of a worker; needs root
	@deploy/local/install.sh rabbitmq-server redis-server
	cargo test --locked --test it -- --ignored --nocapture documented_limit

check: ## Run the quick part of `make test`: format, lints, docs, layers, deployment files; no other tests
	@tests/scripts/test.sh quick

map: ## Rewrite docs/map.md, the map of the source tree, and print it
	@HOOKSWITCH_BLESS=1 cargo test --quiet --locked --test house map_of_the_sources >/dev/null
	@cat docs/map.md

containers: ## Build the image, run docker-compose.yml, check what it promises; ARGS=--quick takes target/release
	@tests/scripts/containers.sh $(ARGS)

pods: ## Play deploy/kubernetes/overlays/dev with podman, and check what it promises; needs root
	@tests/scripts/pods.sh

deb: ## Build the Debian package, and install, run, upgrade and purge it under systemd; needs root
	@tests/scripts/deb.sh

manifests: ## Render the Helm chart into the generated files of deploy/kubernetes
	@tests/scripts/manifests.sh

alerts: ## Fire each alert by a real fault on a real Prometheus, and ask it each query of the dashboards; takes minutes
	@deploy/local/install.sh rabbitmq-server redis-server prometheus
	cargo test --locked --test alerts -- --include-ignored --nocapture

operations: ## Run the commands of docs/operations.md, section "One machine", and check what they print
	@tests/scripts/operations.sh

million: ## Time each dead-letter command on a million dead letters, and measure its memory
	@deploy/local/install.sh rabbitmq-server redis-server
	HOOKSWITCH_LETTERS=1000000 cargo test --release --locked --test it many_letters -- --nocapture

faults: ## Inject every fault once under load and account for every webhook; takes minutes
	@deploy/local/install.sh rabbitmq-server redis-server faketime
	cargo test --release --locked --features faults --test faults -- $(ARGS)

faults-long: ## Inject faults at random for an hour; ARGS="--minutes 90 --until webhooks=1000000,worker_kills=300 --help"
	@deploy/local/install.sh rabbitmq-server redis-server faketime
	cargo test --release --locked --features faults --test faults -- --profile long $(or $(ARGS),--hours 1)

contract: ## Validate 100,000 events with ajv, Python's jsonschema and two CloudEvents SDKs; COUNT=n for another number
	@tests/scripts/contract.sh $(COUNT)

release-contract: ## Take the schemas as those of this release: later changes must not break their readers
	@rm -rf tests/contract/released
	@cargo run --quiet --locked -- schema --all --out tests/contract/released/$$(cargo pkgid | sed 's/.*[@#]//')

mutants: ## Build known mistakes in, one at a time, and check that a test notices each
	@tests/scripts/mutants.sh

fuzz: ## Fuzz the readers of what others send for a minute each; SECONDS=n, TARGET=name, INPUT=file to run one again
	@deploy/local/install.sh g++
	@tests/scripts/fuzz.sh $(or $(SECONDS),60) "$(TARGET)" "$(INPUT)"

simulate: ## Simulate a million schedules of deliveries; COUNT=n for another number, SEED=n to trace one
	HOOKSWITCH_SIMULATIONS=$(COUNT) HOOKSWITCH_SIMULATION_SEED=$(SEED) cargo test --locked --test simulation $(ARGS)

bench: ## Compare worker and receiver with a yardstick; ARGS="--pairs 9 --help"; SUITE=forky: newer RabbitMQ and Redis
	@deploy/local/install.sh rabbitmq-server redis-server
	@tests/scripts/bench.sh "$(SUITE)" pairs $(ARGS)

bench-node: node-of-bench ## Compare with Node.js, amqplib and ioredis, which are installed into .run
	@tests/scripts/bench.sh "$(SUITE)" pairs --beside node $(ARGS)

bench-chain: node-of-bench ## Compare whole chains, from POST to consumer; ARGS="--beside COMMIT,lean,node --cluster --help"
	@tests/scripts/bench.sh "$(SUITE)" chain $(ARGS)

bench-versions: ## Compare the whole chain on three versions of RabbitMQ, on one node and on three
	@deploy/local/install.sh rabbitmq-server redis-server
	@tests/scripts/bench-versions.sh $(ARGS)

node-of-bench:
	@deploy/local/install.sh rabbitmq-server redis-server nodejs npm
	@mkdir -p .run/bench-node
	@cp tests/bench/node/* .run/bench-node/
	@npm ci --prefix .run/bench-node --no-audit --no-fund

bench-latency: ## Measure the time to the 200 and to the event, and the size of bundles, at 25 to 90 % of capacity
	@deploy/local/install.sh rabbitmq-server redis-server
	@tests/scripts/bench.sh "$(SUITE)" latency $(ARGS)

bench-growth: ## Measure the cost per event by workers, sources, shards, bytes, backlog, keys, dead letters; ARGS=--full
	@deploy/local/install.sh rabbitmq-server redis-server
	@tests/scripts/bench.sh "$(SUITE)" growth $(ARGS)

bench-fairness: ## Measure the latency of quiet sources while another source floods
	@deploy/local/install.sh rabbitmq-server redis-server
	@tests/scripts/bench.sh "$(SUITE)" fairness $(ARGS)

bench-flame: ## Draw flame graphs of a worker and a receiver; rebuilds everything with frame pointers
	@tests/scripts/bench-flame.sh $(ARGS)

bench-micro: ## Measure one core's cost per webhook, step by step: time, input throughput, instructions
	@tests/scripts/bench-micro.sh

fmt: ## Format the code
	cargo fmt

lint: ## Run Clippy as CI does
	cargo clippy --all-targets --locked -- -D warnings

doc: ## Build the code's documentation as CI does: target/doc/hookswitch/index.html
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked
