# Every target does its own set-up. PYTHON and the prerequisites are checked with a clear message first.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PACKAGES := model workflows activities worker triggers deploy

.PHONY: help venv up down demo test check bench crds lock
help: ## Say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 10

venv: $(READY)
$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Towpath needs Python 3.11 or newer; set PYTHON=... to one.")'
	@echo "Installing Python packages into $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@# setuptools warns of top-level folders that bear a package's name, which is how this house is built.
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

up: venv ## Start the local stack and Towpath on it (builds what is missing, cached outside the checkout)
	@$(BIN)/towpath local up

down: venv ## Stop everything that `make up` started, and nothing else; history is kept
	@$(BIN)/towpath local down

demo: up ## Start everything, then carry real pushes to production and back, told step by step
	@$(BIN)/python -m deploy.demo

# Tests and measurements are done on everything that there is.
test bench: export TOWPATH_WITH = all

test: up ## Every test: unit, workflows, replay, integration, and the whole story end to end
	@$(BIN)/python -m pytest --numprocesses 3

check: venv ## Formatting, lint, types, import contracts, generated definitions
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy $(PACKAGES) tests
	@$(BIN)/lint-imports
	@$(BIN)/python -m deploy.crds --check

bench: up ## Measure, each number beside its raw floor in the same run
	@$(BIN)/python -m tests.bench

crds: venv ## Write the definitions of our kinds anew from model/
	@$(BIN)/python -m deploy.crds

lock: venv ## Lock dependencies with hashes, without index addresses
	$(BIN)/pip-compile --quiet --upgrade --extra dev --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --no-emit-trusted-host --strip-extras --allow-unsafe --output-file requirements.txt pyproject.toml
	@# pip-compile drops the markers of what it can install itself, and elsewhere there are no wheels of this one.
	@sed -i "s/^\(atheris==[^ ]*\) .*\\\\$$/\1 ; platform_system == 'Linux' and platform_machine == 'x86_64' and python_version < '3.14' \\\\/" requirements.txt
