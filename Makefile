# Every target stands alone: each one first makes sure that the environment is there.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PY := .venv/bin/python
STAMP := .venv/.setup-$(shell cat .ci/apt-packages .ci/setup pyproject.toml uv.lock 2>/dev/null | sha256sum | cut -c1-16)
export PYTHONDONTWRITEBYTECODE :=
export UV_PYTHON_DOWNLOADS := never

.PHONY: help setup check lint test ci demo bench fuzz diagram clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: $(STAMP) ## system packages and .venv, from the lists in this repository (second run: nothing)

$(STAMP): .ci/apt-packages .ci/setup pyproject.toml uv.lock
	@bash .ci/setup
	@rm -f .venv/.setup-*; touch $@

demo: $(STAMP) ## one session on the virtual rig, told as it happens, then three refusals; needs root
	@$(PY) -m hil.demo

lint: $(STAMP) ## formatting, style, types, import contracts
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-cache

check: lint ## lint and the pure tests with their coverage gate; no root, under 60 s
	@$(PY) -m pytest -q -m "not rig"

test: check ## every test, the rig's included; needs root, under 10 min
	@$(PY) -m pytest -q -m rig

ci: test ## what CI runs

bench: $(STAMP) ## speed, memory, idle: build/bench.json and a table; needs root, under 8 min
	@$(PY) -m hil.bench

diagram: $(STAMP) ## draw the machine's table and the README's picture anew
	@$(PY) -m tests.session.golden

clean: ## remove what was built (not the environment)
	@rm -rf build .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
