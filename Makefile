.DEFAULT_GOAL := help
.PHONY: help up down clean-data secrets build test test-rabbitmq-4 check million faults faults-long cluster simulate mutants bench bench-node bench-latency bench-growth bench-fairness bench-flame bench-micro fmt lint doc

help: ## What one can do here
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-15s %s\n", $$1, $$2 }'

up: ## Install what is missing, start everything, post sample webhooks, show their events
	@deploy/local/up.sh

down: ## Stop exactly what `make up` started; its data stays
	@deploy/local/down.sh

clean-data: down ## Forget the data, logs and tools of `make up` and `make test`: remove .run
	rm -rf .run

secrets: ## Passwords and addresses for docker-compose.yml, made up once
	@deploy/docker/make-secrets.sh

build: ## The program, as it is deployed: target/release/hookswitch
	cargo build --release --locked

test: ## Everything that CI checks: format, lints, docs, licences, deployment files, all tests
	@deploy/test.sh

test-rabbitmq-4: ## The tests against RabbitMQ 4, Redis 8 and Valkey 8 of Debian 13; SUITE=forky: against newer ones
	@deploy/test-services.sh $(SUITE)

cluster: ## Kill, stop, cut off and freeze the nodes of a RabbitMQ cluster, and a Redis master, under load
	@deploy/local/install.sh rabbitmq-server redis-server iproute2
	cargo test --locked --test cluster -- --include-ignored --test-threads=1 --nocapture

check: ## The quick part of `make test`: all but the tests
	@deploy/test.sh quick

million: ## A million dead letters: how long each command takes, and how much memory
	@deploy/local/install.sh rabbitmq-server redis-server
	HOOKSWITCH_LETTERS=1000000 cargo test --release --locked --test it many_letters -- --nocapture

faults: ## Kill, freeze, fill and cut everything under load, and account for every webhook: every row once, minutes
	@deploy/local/install.sh rabbitmq-server redis-server faketime
	cargo test --release --locked --features faults --test faults -- $(ARGS)

faults-long: ## The same by chance for an hour; ARGS="--minutes 90 --until webhooks=1000000,worker_kills=300 --help"
	@deploy/local/install.sh rabbitmq-server redis-server faketime
	cargo test --release --locked --features faults --test faults -- --profile long $(or $(ARGS),--hours 1)

mutants: ## Build known mistakes in, one at a time, and expect a test to notice each
	@deploy/mutants.sh

simulate: ## A million simulated schedules of deliveries; COUNT=n for more of them, SEED=n to watch one
	HOOKSWITCH_SIMULATIONS=$(COUNT) HOOKSWITCH_SIMULATION_SEED=$(SEED) cargo test --locked --test simulation $(ARGS)

bench: ## Worker and receiver beside a yardstick, in turn: throughput, CPU, memory, and a chart; ARGS="--pairs 9 --help"
	@deploy/local/install.sh rabbitmq-server redis-server
	cargo bench --quiet --locked --bench bench -- pairs $(ARGS)

bench-node: ## The same beside Node.js with amqplib and ioredis, which it installs into .run
	@deploy/local/install.sh rabbitmq-server redis-server nodejs npm
	@mkdir -p .run/bench-node
	@cp tests/bench/node/* .run/bench-node/
	@npm ci --prefix .run/bench-node --no-audit --no-fund
	cargo bench --quiet --locked --bench bench -- pairs --beside node $(ARGS)

bench-latency: ## How long a webhook takes at 25 to 90 % of the capacity: until 200, until its event is there
	@deploy/local/install.sh rabbitmq-server redis-server
	cargo bench --quiet --locked --bench bench -- latency $(ARGS)

bench-growth: ## What an event costs against workers, sources, shards, bytes, backlog, keys, dead letters; ARGS=--full for more
	@deploy/local/install.sh rabbitmq-server redis-server
	cargo bench --quiet --locked --bench bench -- growth $(ARGS)

bench-fairness: ## How quiet sources fare while another one floods
	@deploy/local/install.sh rabbitmq-server redis-server
	cargo bench --quiet --locked --bench bench -- fairness $(ARGS)

bench-flame: ## Where the time of a worker and of a receiver goes, as flame graphs; builds everything once more, with frame pointers
	@deploy/bench-flame.sh $(ARGS)

bench-micro: ## What one core does for one webhook, step by step: time, throughput of input, instructions
	@deploy/bench-micro.sh

fmt: ## Format the code
	cargo fmt

lint: ## Clippy, as CI runs it
	cargo clippy --all-targets --locked -- -D warnings

doc: ## The documentation of the code, as CI checks it: target/doc/hookswitch/index.html
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked
