# The one list of commands. `make` alone prints it.
VENV := .venv
# PYTHON, exported or given to make, names the interpreter that bin/setup makes the environments with.
OUR_PYTHON := $(VENV)/bin/python
SOURCES := src plugins dags host demo tests benchmarks bin
FOLDERS = $(wildcard $(SOURCES) docs)

include bin/quiet.env
export $(shell sed -n 's/^\([A-Z_]*\)=.*/\1/p' bin/quiet.env)

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format lint types imports unit integration e2e proof bench up down clean

help: ## Print this list
	@sed -n 's/^\([a-z0-9]*\):[^#]*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-20s %s\n", $$1, $$2}'

setup: ## Install everything into .venv and .venv-triton (about a minute once, nothing after that)
	@bin/setup

demo: setup ## Show the whole loop on this machine  [LINE=recommend] [DATA=folder] [DETACH=1] [ARGS=--free-ports]
	$(OUR_PYTHON) -m demo $(if $(LINE),--line $(LINE)) $(if $(DATA),--data "$(DATA)") $(if $(DETACH),--detach) $(ARGS)

test: setup ## All that CI runs: check, integration, e2e, nothing left behind
	@bin/test

check: setup lint types imports unit ## Format, lint, types, import contracts, unit tests: about four minutes on two cores

format: setup ## Rewrite the code in the house format and mend what lint can mend
	$(VENV)/bin/ruff format $(FOLDERS)
	$(VENV)/bin/ruff check --fix $(FOLDERS)

lint: setup ## Ruff: format and rules
	$(VENV)/bin/ruff format --check $(FOLDERS)
	$(VENV)/bin/ruff check $(FOLDERS)

types: setup ## mypy, strict, on src, plugins, host and demo
	$(VENV)/bin/mypy

imports: setup ## Who may import whom (layers, heavy libraries, SDKs)
	$(VENV)/bin/lint-imports --no-logo

unit: setup ## Tests without network, server or scheduler, a process a core  [ARGS="-k name"]
	$(OUR_PYTHON) -m pytest tests/unit --numprocesses=logical --maxprocesses=4 --dist=loadscope $(ARGS)

integration: setup ## One part against the real thing: Triton, MLflow, Great Expectations, a small model  [ARGS=]
	$(OUR_PYTHON) -m pytest tests/integration --numprocesses=2 --dist=loadscope $(ARGS)

e2e: setup ## The whole loop with a real Airflow scheduler and a real Triton  [ARGS=]
	$(OUR_PYTHON) -m pytest tests/e2e $(ARGS)

proof: setup ## The long ones: hundreds of releases, kills, simulations; writes docs/results  [ARGS=]
	$(OUR_PYTHON) -m pytest tests/proof $(ARGS)

bench: setup ## Measure what the documents claim  [ARGS=]
	$(OUR_PYTHON) -m benchmarks $(ARGS)

up: setup ## Start recflow here: Airflow, Triton, gateway  [ARGS=--free-ports]
	$(OUR_PYTHON) -m host up $(ARGS)

down: setup ## End what `make up` or a detached demo started
	$(OUR_PYTHON) -m host down $(ARGS)

clean: ## End what runs in .home, remove it and the caches; the environments stay
	@if [ -d .home ] && [ -x $(OUR_PYTHON) ]; then RECFLOW_HOME=.home $(OUR_PYTHON) -m host down; fi
	rm -rf .home .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis htmlcov .coverage
	find $(FOLDERS) -name __pycache__ -type d -prune -exec rm -rf {} +
