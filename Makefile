# The words of this project; scripts/setup brings what each of them needs.
#
#   PORT=8000         port of `make run`
#   DATA_DIR=.data    folder of the embedded PostGIS and of all that the service keeps
#   DATABASE_URL=     a PostGIS of your own in place of the embedded one
#   TEST_PROCESSES=2  processes of `make test`, each with a PostGIS of its own
#   ARGS=             further arguments of the program behind the word
# Given here or in the environment, all three reach the program as environment variables.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
BIN := .venv/bin
SCALE ?= small
TEST_PROCESSES ?= 2

.PHONY: help run test conformance check bench demo

help: ## list these words
	@printf 'make WORD [PORT=8000] [DATA_DIR=.data] [DATABASE_URL=postgresql://…]\n\n'
	@sed -nE 's/^([a-z]+): ## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 12

run: ## install what is missing, build the demo on first start, serve on PORT until Ctrl-C
	@scripts/setup run
	@exec $(BIN)/gis-service serve $(ARGS)

test: ## all tests, against a PostGIS of their own
	@scripts/setup test
	@exec $(BIN)/pytest -n $(TEST_PROCESSES) --dist loadfile $(ARGS)

conformance: ## which requirements of the OGC standards hold: a test each, and a table
	@scripts/setup test
	@exec $(BIN)/pytest --table tests/conformance $(ARGS)

check: ## lint, format, types, import contracts, web client
	@scripts/setup test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@if [[ -d gis_service/web/node_modules ]]; then \
	    set -x; cd gis_service/web; export PATH="$(CURDIR)/.tools/bin:$$PATH"; \
	    npm run --silent check; npm test --silent; fi

bench: ## the benchmarks, beside the peers that are installed; writes a table
	@scripts/setup bench
	@exec $(BIN)/python tests/benchmarks/run.py $(ARGS)

demo: ## build the synthetic demo province anew (SCALE=small or province)
	@scripts/setup run
	@exec $(BIN)/gis-service demo --scale $(SCALE) $(ARGS)
