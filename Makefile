# Rayfold: `make quickstart` and `make test` work on a bare machine with Python 3.11, 3.12 or 3.13.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The interpreter that builds .venv. Another one: make setup PYTHON=/path/to/python3.12
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && { command -v "$$p"; break; }; done)
# Options handed on to the command of the target: make quickstart ARGS="trainer.total_env_steps=50000 seed=3"
ARGS ?=

VENV := .venv
STAMP := $(VENV)/.rayfold-installed
RUN := $(VENV)/bin/python
# One torch/BLAS thread per process; Ray starts the processes.
export OMP_NUM_THREADS ?= 1

.PHONY: help setup quickstart test test-runs test-ray test-all check docs bench lock clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

setup: $(STAMP)  ## make .venv and install the locked packages (again only when the lock changed)

$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Rayfold needs Python 3.11, 3.12 or 3.13; none was found on PATH. Install one, or name it: make setup PYTHON=/path/to/python3.11" >&2; exit 2; }
	@test -x $(RUN) || "$(PYTHON)" -m venv $(VENV)
	@echo "installing $$(grep -c '==' requirements.lock) locked packages into $(VENV), 3 GB on disk: some three minutes of one core, and the download; the last step, installing, says nothing for two of them"
	$(RUN) -m pip install --disable-pip-version-check -c requirements.lock -e '.[dev,docs,vendors,ibkr]'
	@touch $(STAMP)
	@echo "done; switch it on in each terminal: source $(VENV)/bin/activate"

quickstart: $(STAMP)  ## train on real crypto bars, score walk-forward, write a report (a few minutes on 2 cores)
	$(RUN) -m rayjobs.train +experiment=crypto_portfolio $(ARGS)

test: $(STAMP)  ## the fast tests, a process per CPU (no network, no Ray runtime)
	$(RUN) -m pytest -n auto --dist loadfile $(ARGS)

test-runs: $(STAMP)  ## the tests that train, score or audit whole small runs, a process per CPU (no Ray runtime)
	$(RUN) -m pytest -n auto --dist loadfile -m "runs and not slow and not ray and not gpu" $(ARGS)

test-ray: $(STAMP)  ## the tests that start a Ray runtime
	$(RUN) -m pytest -m "ray and not slow and not gpu" $(ARGS)

test-all: $(STAMP)  ## every test, learning curves included (long)
	$(RUN) -m pytest -m "not gpu" $(ARGS)

check: $(STAMP)  ## lint: ruff (rules and format), import order of the packages, types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports
	$(VENV)/bin/mypy

docs: $(STAMP)  ## build the docs site into build/site (offline; open build/site/index.html)
	$(RUN) -m mkdocs build --strict --quiet $(ARGS)

bench: $(STAMP)  ## benchmarks against stock RLlib and Stable-Baselines3: make bench ARGS=suite=NAME
	$(RUN) -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[bench]'
	$(RUN) -m rayjobs.bench $(ARGS)

lock: $(STAMP)  ## rewrite requirements.lock from pyproject.toml (ARGS=--upgrade for newer versions)
	.ci/lock $(RUN) $(ARGS)

clean:  ## remove .venv and tool caches; runs/ stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis rayfold.egg-info build dist
