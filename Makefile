# The developer's index: every task there is, one line each.

GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
FUZZTIME ?= 30s
PROVETIME ?= 3m

.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  DATABASE_URL=postgres://… make run            another database than orbit.db"
	@echo "  ORBIT_TEST_DATABASE_URL=postgres://… make test  another PostgreSQL for the tests"
	@echo "    (else 127.0.0.1:5432, else a throwaway cluster from initdb, else SQLite alone)"
	@echo "  make fuzz FUZZTIME=5m                         longer fuzzing"

.PHONY: demo
demo: ## Run the server with the demo: http://localhost:8080
	go run ./app/orbit serve --demo

.PHONY: run
run: ## Run the server
	go run ./app/orbit serve

.PHONY: migrate
migrate: ## Apply the database migrations
	go run ./app/orbit migrate

.PHONY: build
build: ## Build bin/orbit, a static binary
	CGO_ENABLED=0 go build -trimpath -o bin/orbit ./app/orbit

.PHONY: test
test: ## Run the tests
	go test ./...

.PHONY: race
race: ## Run the tests with the race detector, as CI does
	go test -race ./...

.PHONY: web
web: ## Build and test what runs in the browser (Node 20; in Chromium if there is one)
	cd web && npm ci && npm test

.PHONY: soak
soak: ## Chaos in the browser for ten minutes: kills, hangs, buffers, blocks, with a flood on
	cd web && npm ci && npm run build -w @orbit/realtime && ORBIT_CHAOS_SECONDS=600 npm run unit -w @orbit/e2e -- test/chaos.test.ts

.PHONY: cover
cover: ## Write coverage.html
	go test -coverprofile=coverage.out -coverpkg=./... ./...
	go tool cover -html=coverage.out -o coverage.html

.PHONY: fuzz
fuzz: ## Fuzz every target for FUZZTIME (30s) each
	@grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -n1 dirname | sort -u | while read -r dir; do \
		for target in $$(go test -list '^Fuzz' "$$dir" | grep '^Fuzz'); do \
			echo "== $$dir $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$dir" || exit 1; \
		done; \
	done

.PHONY: bench
bench: ## Measure this build on this machine
	go run ./app/orbit bench latency
	go run ./app/orbit bench fanout
	go run ./app/orbit bench pipeline
	go run ./app/orbit bench resume
	go run ./app/orbit bench idle

.PHONY: prove
prove: ## Break this build for PROVETIME (3m) on each engine, and check that nothing was lost
	go build -tags failpoint -o bin/orbit-prove ./app/orbit
	bin/orbit-prove prove --duration $(PROVETIME) --report bin/proof

.PHONY: lint
lint: ## Run the linters
	go run $(GOLANGCI) run

.PHONY: generate
generate: ## Write what is generated from code: client types, schemas, fixtures, docs
	go generate ./...

.PHONY: ci
ci: ## Run what CI runs
	.ci/run

.PHONY: psql
psql: ## Open the database of docker compose
	psql postgres://orbit:orbit@localhost:5433/orbit

.PHONY: clean
clean: ## Remove what was built and measured, and the default database
	rm -rf bin coverage.out coverage.html orbit.db orbit.db-wal orbit.db-shm orbit.db.lock orbit.db.migrate.lock
