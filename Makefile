.DEFAULT_GOAL := help
.PHONY: help up down clean-data secrets build test cluster check fmt lint doc

help: ## What one can do here
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-12s %s\n", $$1, $$2 }'

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

cluster: ## Kill, stop, cut off and freeze the nodes of a RabbitMQ cluster, and a Redis master, under load
	cargo test --locked --test cluster -- --include-ignored --test-threads=1 --nocapture

check: ## The quick part of `make test`: all but the tests
	@deploy/test.sh quick

fmt: ## Format the code
	cargo fmt

lint: ## Clippy, as CI runs it
	cargo clippy --all-targets --locked -- -D warnings

doc: ## The documentation of the code, as CI checks it: target/doc/hookswitch/index.html
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked
