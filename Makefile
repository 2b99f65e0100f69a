# The commands that never change meaning. `make` alone lists them.
#
# Needed on PATH: python3 (3.11 or newer), git, make, go (1.26 or newer) and a C compiler. Everything else is
# made once, here in .venv and under the user's cache directory. Recipes use no other program of the system.

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.SUFFIXES:
.DELETE_ON_ERROR:

PYTHON ?= python3
ARGS ?=
# Processes that share the tests. Most of them wait for servers, each with a control plane of its own.
TESTERS ?= 4
BIN := .venv/bin
READY := .venv/.ready
RUN := PYTHONPATH=tools:tests $(BIN)/python

# Needed to make .venv itself and the locks; kept apart from what the project imports.
BOOTSTRAP := uv>=0.9 hatchling>=1.27 editables>=0.5
# No registry's host in a lock: hashes alone decide what is installed (docs/decisions/0004-locks.md).
LOCK := UV_SYSTEM_CERTS=true $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header

.PHONY: help demo demo-azure up down test test-faults lint format bench lock

help: ## list these commands
	@$(PYTHON) -c 'import re; [print(f"make {name:<12} {text}") for name, text in re.findall(r"^([\w-]+):.*?## (.*)", open("Makefile").read(), re.M)]'

demo: $(READY) ## show the whole of it on real servers, then stop them (first run: 15 to 25 minutes, then about two minutes)
	@$(RUN) -m demo $(ARGS)

demo-azure: $(READY) ## show the same with a key vault, on a stand-in for Azure (after make demo about two minutes)
	@PYTHONPATH=tools:tests:provider $(BIN)/python -m demo.azure $(ARGS)

up: $(READY) ## start the same servers with the operator, and keep them; then: source .local/env
	@$(RUN) -m plane up

down: $(READY) ## stop what make up started
	@$(RUN) -m plane down

test: $(READY) ## run all tests, several at a time; ARGS="-k words" goes to pytest
	@$(BIN)/python -m pytest --numprocesses=$(TESTERS) --dist=loadgroup --no-loadscope-reorder --ignore=tests/faults $(ARGS)

test-faults: $(READY) ## run the long fault and mutation tests
	@$(BIN)/python -m pytest $(ARGS) tests/faults

lint: $(READY) ## check style, types, layers and generated files
	@echo "lint: ruff" && $(BIN)/ruff check --quiet --output-format=concise .
	@echo "lint: format" && $(BIN)/ruff format --quiet --check .
	@echo "lint: mypy" && MYPYPATH=tools $(BIN)/mypy --no-error-summary operator provider/airflow_airwarden tests tools benchmarks
	@echo "lint: layers" && said=$$(PYTHONPATH=provider $(BIN)/lint-imports --no-cache 2>&1) || { echo "$$said"; exit 1; }
	@echo "lint: crds" && $(BIN)/airwarden crds --directory crds --reference docs/reference --check
	@echo "lint: all good"

format: $(READY) ## format the code and mend what can be mended
	@$(BIN)/ruff format --quiet . && $(BIN)/ruff check --quiet --fix .

bench: $(READY) ## measure against the budgets, side by side with the floor
	@$(RUN) -m benchmarks $(ARGS)

lock: $(READY) ## resolve all dependencies anew; ARGS="--upgrade" takes newer versions
	@printf '%s\n' $(foreach each,$(BOOTSTRAP),'$(each)') | \
		$(LOCK) $(ARGS) --group dev --output-file requirements-dev.lock pyproject.toml -
	@$(LOCK) $(ARGS) --constraint requirements-dev.lock --output-file requirements.lock pyproject.toml
	@$(LOCK) $(ARGS) --output-file tools/airflow/requirements.lock tools/airflow/requirements.in
	@$(LOCK) $(ARGS) --constraint tools/airflow/requirements.lock --constraint requirements-dev.lock --no-deps \
		--output-file tools/airflow/azure.lock tools/airflow/azure.in
	@echo "lock: wrote requirements.lock, requirements-dev.lock and tools/airflow/*.lock"

$(READY): requirements-dev.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Airwarden needs Python 3.11 or newer, and $(PYTHON) is not: install one, or name it: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
		echo "$(PYTHON) cannot make virtual environments: install its venv package (Debian: python3-venv)" >&2; exit 1; }
	@echo "Making .venv from requirements-dev.lock: about half a minute, once"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@: > $@
