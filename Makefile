# The commands of this repository. `make` alone lists them.
#
# Everything goes into .venv in this folder; only `make test` and `make bench` need packages of the operating system
# (a browser, a reference web server), and say so when they cannot have them.

SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
BENCHMARKS := $(patsubst benchmarks/%.py,%,$(shell grep -l '^if __name__ ==' benchmarks/*.py 2>/dev/null))

.PHONY: help setup system engines demo check test test-firefox test-engines torture bench docs lock clean

help:  ## List the commands
	@awk -F ':.*## ' '/^[a-z%-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  make bench-NAME     One benchmark: $(BENCHMARKS)"

setup:  ## Make .venv from the locked dependencies (again only when they change)
	@PYTHON=$(PYTHON) scripts/setup

system: setup  ## Install what the tests need from the operating system's packages (Debian, as root)
	@scripts/system-packages

engines: setup  ## Fetch Kafka, MinIO, Hive Metastore, Trino and Spark's connectors, once, checked
	@scripts/engines

demo: setup  ## Run the whole platform with producers sending pings; Ctrl-C stops it
	@exec $(BIN)/catchment demo

check: setup  ## Lint, formatting, types and floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/floors

test: system check  ## Everything: check, all tests on two processes, then the Firefox acceptance test
	@scripts/engines kafka minio
	$(BIN)/python -m pytest -n 2 -m "not firefox and not engines"
	$(BIN)/python -m pytest -m firefox

test-firefox: system  ## The acceptance test alone: a real Firefox sends pings, SQL returns them
	$(BIN)/python -m pytest -m firefox

test-engines: system engines  ## The same tables and queries on a real Hive Metastore, Trino and Spark
	$(BIN)/python -m pytest -m engines

torture: setup  ## 200,000 pings under 100 faults; nothing acknowledged may be lost or doubled
	$(BIN)/catchment torture --pings 200000 --faults 100 --seed 1

bench: system  ## All benchmarks, one after the other
	@set -e; for name in $(BENCHMARKS); do echo "== bench-$$name"; $(BIN)/python -m benchmarks.$$name; done

bench-%: system
	@$(BIN)/python -m benchmarks.$*

docs: setup  ## Write the reference pages (settings, metrics, commands) anew from the code
	$(BIN)/python scripts/render_docs.py

lock: setup  ## Resolve the dependencies anew into requirements.lock and packaging/geo
	@scripts/lock

clean:  ## Remove .venv, caches and build output (never data)
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
