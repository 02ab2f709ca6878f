.DEFAULT_GOAL := help
.PHONY: help up down clean-data build test check fmt

help: ## What one can do here
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-12s %s\n", $$1, $$2 }'

up: ## Install what is missing, start everything, post sample webhooks, show their events
	@deploy/local/up.sh

down: ## Stop exactly what `make up` started; its data stays
	@deploy/local/down.sh

clean-data: down ## Forget the data of `make up`
	rm -rf .run/rabbitmq .run/redis

build: ## The program, as it is deployed: target/release/hookswitch
	cargo build --release --locked

test: ## Everything that CI checks: format, lints, docs, licences, deployment files, all tests
	@deploy/test.sh

check: ## The quick part of `make test`: format, lints, docs
	@deploy/test.sh quick

fmt: ## Format the code
	cargo fmt
