# The front door: `make run` runs arbe here, `make test` is the whole gate.
# Needs only Python 3.11, git, make and a package index.

SHELL := /bin/sh
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8000
HOST ?= 127.0.0.1
WORKERS ?= 2

# A stamp for each lock, named for what is in it: a changed lock is installed, an unchanged one is not looked at.
RUNTIME := $(VENV)/.runtime-$(firstword $(shell cksum < requirements.txt))
TOOLS := $(VENV)/.tools-$(firstword $(shell cksum < requirements-dev.txt))
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes

.PHONY: help
help: ## What can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

.PHONY: run
run: $(RUNTIME) bubblewrap ## Run arbe here until Ctrl-C (PORT=8000 HOST=127.0.0.1)
	@exec $(BIN)/python manage.py up --host $(HOST) --port $(PORT)

.PHONY: test
test: $(TOOLS) bubblewrap ## The whole gate: format, lint, contracts, types, migrations, checks, tests (WORKERS=2)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python -W 'ignore:Got an error checking' manage.py makemigrations --check --dry-run
	ARBE_URL=https://arbe.example $(BIN)/python -W error manage.py check --deploy --fail-level ERROR
	$(BIN)/pytest --numprocesses $(WORKERS) --durations 10

.PHONY: bench
bench: $(TOOLS) bubblewrap ## The measured figures, with medians
	$(BIN)/python -m tests.bench

.PHONY: soak
soak: $(TOOLS) bubblewrap ## Agents at work for five minutes while everything around them is killed (SECONDS=300 SEED=)
	$(BIN)/python -m tests.bench.soak --seconds $(or $(SECONDS),300) $(if $(SEED),--seed $(SEED))

.PHONY: bench-streams
bench-streams: $(TOOLS) ## The stream server beside the upstream Node server, in ratios (needs wrk, node and npm)
	$(BIN)/python -m tests.bench.streams

.PHONY: format
format: $(TOOLS) ## Write the format, and what lint can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: lock
lock: ## Pin requirements*.in again (with uv)
	uv pip compile --quiet --python-version 3.11 --no-header --no-annotate --generate-hashes --upgrade \
		-o requirements.txt requirements.in
	uv pip compile --quiet --python-version 3.11 --no-header --no-annotate --generate-hashes --upgrade \
		-c requirements.txt -o requirements-dev.txt requirements-dev.in

.PHONY: clean
clean: ## Throw away the virtual environment and what tools cached; never var/
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@for python in python3.11 python3 python; do \
		if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then \
			$$python -m venv $(VENV) && exit 0; \
			rm -rf $(VENV); \
		fi; \
	done; \
	echo 'arbe needs Python 3.11 with venv (as python3.11 or python3); install it and say make again.' >&2; exit 1

$(RUNTIME): | $(BIN)/python
	@echo 'Installing what arbe needs into $(VENV) …'
	@rm -f $(VENV)/.runtime-* $(VENV)/.tools-*
	@$(INSTALL) -r requirements.txt
	@touch $@

$(TOOLS): | $(RUNTIME)
	@echo 'Installing the tools of the gate into $(VENV) …'
	@rm -f $(VENV)/.tools-*
	@$(INSTALL) -r requirements-dev.txt
	@touch $@

# Commands run in bubblewrap or not at all. Where it cannot be installed, `up` says so and goes on.
.PHONY: bubblewrap
bubblewrap:
	@command -v bwrap >/dev/null && exit 0; \
	if [ "$$(id -u)" = 0 ]; then as=; elif sudo -n true 2>/dev/null; then as='sudo -n'; else as=none; fi; \
	if [ "$$as" != none ]; then \
		echo 'Installing bubblewrap …'; \
		if command -v apt-get >/dev/null; then \
			export DEBIAN_FRONTEND=noninteractive; \
			$$as apt-get install -qqy --no-install-recommends bubblewrap >/dev/null 2>&1 || \
			{ $$as apt-get update -qq && $$as apt-get install -qqy --no-install-recommends bubblewrap >/dev/null; }; \
		elif command -v dnf >/dev/null; then $$as dnf install -qy bubblewrap; \
		elif command -v apk >/dev/null; then $$as apk add -q bubblewrap; \
		elif command -v pacman >/dev/null; then $$as pacman -S --noconfirm --quiet bubblewrap; \
		fi; \
	fi </dev/null; \
	command -v bwrap >/dev/null || echo 'Bubblewrap is missing and cannot be installed from here: install the package' \
		'bubblewrap with your package manager. Until then arbe refuses to run commands.' >&2
