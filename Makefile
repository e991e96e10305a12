# Firedrill: one door. Every target is one line that calls a tool; `make help` lists them.
# Works with GNU make 3.81 (macOS) and later.
.DEFAULT_GOAL := help
.PHONY: help serve site test check lab drill evidence new stage lock clean
SHELL := /bin/sh
PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 python3.11 python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
BIN := .venv/bin
READY := .venv/.ready
GROUPS := build site snippets lab test evidence
export NO_MKDOCS_2_WARNING := 1
export UV_PYTHON_DOWNLOADS := never
# An activated environment of somebody else must not be the one we change.
export VIRTUAL_ENV :=

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

serve: $(READY) ## build and serve the site on http://127.0.0.1:8000 with live reload
	@$(BIN)/python -m catalog serve "$${ADDRESS:-127.0.0.1:8000}"

site: $(READY) ## build the site into site/
	@$(BIN)/python -m catalog site

test: $(READY) ## the whole suite, against real servers and a real browser
	@$(BIN)/python -m lab.suite all

check: $(READY) ## under a minute: lint, types, catalog, fast tests
	@$(BIN)/python -m lab.suite check

lab: $(READY) ## start the real servers, print their addresses, stop them on ctrl-C
	@$(BIN)/python -m lab

drill: $(READY) ## tell a failure and its fix live: make drill SCENARIO=rate-limiting
	@$(BIN)/python -m lab.drill "$(SCENARIO)"

evidence: $(READY) ## measure again (all, or SCENARIO=...) and record the results
	@$(BIN)/python -m evidence $(SCENARIO)

new: $(READY) ## write the skeleton of a scenario: make new ID=my-scenario
	@$(BIN)/python -m catalog new "$(ID)"

stage: $(READY) ## write build/docs and build/zensical.yml without building the site
	@$(BIN)/python -m catalog stage

lock: $(READY) ## resolve every dependency anew into requirements.lock
	@$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header $(GROUPS:%=--group %) pyproject.toml -o requirements.lock

clean: ## remove everything that can be made again
	@rm -rf build site .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage

$(READY): requirements.lock bootstrap.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo 'firedrill: needs Python 3.11 or later, and none was found on PATH. Mend: install it (Debian: apt-get install python3 python3-venv; macOS: brew install python@3.13), or name one: make PYTHON=/path/to/python3.13 ...' >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'firedrill: $(PYTHON) is older than Python 3.11. Mend: make PYTHON=/path/to/python3.11 ...' >&2; exit 1; }
	@test -x $(BIN)/python || "$(PYTHON)" -m venv .venv || { rm -rf .venv; echo 'firedrill: $(PYTHON) cannot make a virtual environment. Mend: on Debian, apt-get install python3-venv' >&2; exit 1; }
	@echo 'firedrill: setting up .venv (once)' >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement bootstrap.lock
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $(READY)
