# Every target stands alone: each one first makes sure that the environment is there.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PY := .venv/bin/python
COVERAGE := .venv/bin/coverage
STAMP := .venv/.setup-$(shell cat .ci/apt-packages .ci/setup pyproject.toml uv.lock 2>/dev/null | sha256sum | cut -c1-16)
KERNEL := sdbox_agent/biometrics/libkernel.so
READY := $(STAMP) $(KERNEL)
export PYTHONDONTWRITEBYTECODE :=
export UV_PYTHON_DOWNLOADS := never

SECONDS ?= 60
LEVEL ?= host-match
SPEAK ?= fr

.PHONY: help setup check lint pure cover test ci full demo bench load fuzz deb hil-deb hil-boot hil-vm hil-real soak calibrate diagram openapi profiles migration clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: $(READY) ## system packages and .venv, from the lists in this repository (second run: nothing)

$(STAMP): .ci/apt-packages .ci/setup pyproject.toml uv.lock
	@bash .ci/setup
	@rm -f .venv/.setup-*; touch $@

# -ffp-contract=off: the same sums on every machine
$(KERNEL): sdbox_agent/biometrics/kernel.c Makefile $(STAMP)
	@cc -std=c11 -O3 -D_GNU_SOURCE -ffp-contract=off -Wall -Wextra -Wconversion -Werror -fPIC -shared \
		-fvisibility=hidden -fstack-protector-strong -Wl,-z,relro,-z,now -o $@ $< -lm

demo: $(READY) ## one session at LEVEL=host-match|card-match|card-pin, then refusals; needs root
	@$(PY) -m hil.demo --level $(LEVEL)

lint: $(READY) ## formatting, style, types, import contracts
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-cache

pure: $(READY) ## the quick tests that need no root
	@$(PY) -m pytest -q -m "not rig and not slow" -n 3 --dist loadfile

check: $(READY) ## lint and pure, both at once; no root, under 60 s
	@$(MAKE) -j2 --output-sync=target lint pure

cover: $(READY) ## every test that needs no root, and the coverage gate
	@rm -rf build/coverage; mkdir -p build/coverage
	@$(COVERAGE) run -m pytest -q -m "not rig" -n 3 --dist loadfile
	@$(COVERAGE) combine -q
	@$(COVERAGE) report

test: lint cover ## every test, the rig's included; needs root, under 10 min
	@$(PY) -m pytest -q -m rig -n 4 --dist loadfile || { [ $$? = 1 ]; \
		echo "== once more, alone: what passes now is UNSTEADY, and to be mended all the same =="; \
		$(PY) -m pytest -q -m rig --last-failed --last-failed-no-failures none; }

fuzz: $(READY) ## every parser under libFuzzer, SECONDS=60 in all or INPUTS=N each; then its coverage
	@nice -n 19 $(PY) -m tests.fuzz.run $(if $(INPUTS),--inputs $(INPUTS),--seconds $(SECONDS))

ci: export CI := 1
ci: SECONDS := 30
ci: test fuzz ## what CI runs: test, with more examples, 30 s of fuzz, the booted box; under 30 min
	@$(MAKE) hil-boot || { echo "== once more: what passes now is UNSTEADY =="; $(MAKE) hil-boot; }

full: export CI := 1
full: export FULL := 1
full: INPUTS := 10000000
full: test fuzz ## before a release: every enumeration whole, 10 million inputs a parser; a night

bench: $(READY) ## speed, memory, idle: a table and build/; ONLY=tunnel is one group; root, under 8 min
	@$(PY) -m hil.bench $(if $(ONLY),--only $(ONLY))

load: $(READY) ## 1,000 boxes at one centre: build/load.json and .png; root, some ten minutes
	@$(PY) -m hil.load $(if $(BOXES),--boxes $(BOXES))

deb: $(READY) ## build/deb: sdbox-agent_*.deb, sdbox-centre_*.deb; the same bytes from the same commit; no root
	@$(PY) -m hil.package

hil-deb: $(READY) ## both in a clean Debian: installed, upgraded, purged; the centre booted; ONLY=NAME; root
	@nice -n 5 $(PY) -m hil.package.trial $(ONLY)

hil-boot: $(READY) ## that package on a booted Debian: units, a session, deaths, what each unit is denied; root
	@nice -n 5 $(PY) -m hil.boot $(TESTS)

hil-vm: $(READY) ## in a virtual machine with Debian's kernel: a whole box, the kernel's WireGuard; root
	@nice -n 5 $(PY) -m hil.vm $(TESTS)

hil-real: $(READY) ## the same scenarios with real hardware, by your hands: PROFILE=… KEY_FILE=… SPEAK=fr|en; root
	@$(PY) -m hil.real $(or $(PROFILE),$(error PROFILE=… is one of firmware_profiles/)) --language $(SPEAK) $(if $(KEY_FILE),--management-key-file $(KEY_FILE))

soak: $(READY) ## 1,000 sessions, one after the other: is anything left behind? root, some 40 min
	@$(PY) -m hil.soak $(if $(SESSIONS),--sessions $(SESSIONS))

calibrate: $(READY) ## thresholds by the false match rate of decisions: build/calibration; an hour
	@nice -n 10 $(PY) -m hil.calibrate

diagram: $(READY) ## draw the machine's table and the README's picture anew
	@$(PY) -m tests.session.golden

openapi: $(READY) ## write the API's description anew: docs/openapi.json
	@$(PY) -m sdbox_centre openapi --config /dev/null > docs/openapi.json

profiles: $(READY) ## draw the tables of docs/profiles.md anew
	@$(PY) -m tests.profile.page

migration: $(READY) ## write versions/vN.py anew from the centre's tables; N=0002 WHAT="…"
	@$(PY) -m tests.sdbox_centre.migration $(N) "$(WHAT)"

clean: ## remove what was built (not the environment)
	@rm -rf build .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
