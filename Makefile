# Every target sets itself up: .venv is made once, and again only when the lock file or pyproject.toml changes.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
# Set, it would have every process compile all that it imports anew.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LOCK := requirements/lock.txt
WORKERS ?= 2

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: $(READY) ## 20,000 IMEIs against a simulated provider, then the proof that all is accounted for
	@$(BIN)/imeiflow demo

.PHONY: test
test: $(READY) browser ## run the tests (WORKERS=n processes, ARGS="..." for pytest)
	@$(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=worksteal $(ARGS)

# Finds the tests, and thereby compiles them: of several processes that begin at once, each would. What is wrong, `test` says.
.PHONY: collect
collect: $(READY)
	@$(BIN)/python -m pytest --collect-only -qq >/dev/null 2>&1 || true

# The tests as soon as they are compiled: what else is checked, types above all, takes one processor beside them.
.PHONY: suite
suite: collect
	@$(MAKE) --no-print-directory test

# What the tests of pages need: Debian's Chromium. Without it they are skipped, and in CI they fail.
.PHONY: browser
browser:
	@if ! command -v chromium >/dev/null; then
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	    apt-get update -qq
	    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium
	  else
	    echo 'No Chromium here: the tests of pages are skipped. This lets them run:' >&2
	    echo '  sudo apt-get install --no-install-recommends chromium' >&2
	  fi
	fi

.PHONY: check
check: $(READY) ## lint, formatting, types, layers
	@$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: bench
bench: $(READY) ## measure throughput, and compare with the script that this replaces
	@$(BIN)/python -m benchmarks $(ARGS)

.PHONY: pictures
pictures: $(READY) browser ## draw the pictures of README and docs anew, from the running program (ARGS="demo web")
	@$(BIN)/python -m pictures $(ARGS)

.PHONY: lock
lock: $(READY) ## renew requirements/lock.txt from pyproject.toml (ARGS=--upgrade for newer versions)
	@$(find_uv)
	"$$uv" pip compile --universal --python-version 3.11 --all-extras --group dev --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url --quiet $(ARGS) pyproject.toml -o $(LOCK)

.PHONY: clean
clean: ## remove .venv, caches and what was built
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests -name __pycache__ -prune -exec rm -rf {} +

# A uv that runs: the one on PATH, or the one inside .venv.
define find_uv
uv=uv
if ! uv --version >/dev/null 2>&1; then uv=$(BIN)/uv; fi
endef

$(READY): $(LOCK) pyproject.toml
	@$(find_uv)
	if [ ! -x $(BIN)/python ]; then
	  python=
	  for name in python3 python3.13 python3.14 python3.12 python3.11; do
	    if "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then python=$$name; break; fi
	  done
	  if [ -z "$$python" ]; then echo 'imeiflow needs Python 3.11 or newer (Debian: apt-get install python3)' >&2; exit 1; fi
	  if uv --version >/dev/null 2>&1; then
	    uv venv --quiet --python "$$(command -v "$$python")" $(VENV)
	  else
	    if ! "$$python" -c 'import ensurepip' 2>/dev/null; then
	      package=$$("$$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
	      if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
	        apt-get update -qq
	        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$$package"
	      else
	        echo "Python's venv module is incomplete here. Run this once, then make again:" >&2
	        echo "  sudo apt-get install $$package" >&2
	        exit 1
	      fi
	    fi
	    "$$python" -m venv $(VENV)
	  fi
	fi
	if ! "$$uv" --version >/dev/null 2>&1; then $(BIN)/python -m pip install --quiet uv; fi
	"$$uv" pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes $(LOCK)
	"$$uv" pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@
