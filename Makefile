PYTHON ?= python3.11
BIN := .venv/bin

.PHONY: help setup demo test lint clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ -/'

.venv/.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

setup: .venv/.stamp  ## make .venv and compile the kernels into the cache
	$(BIN)/servecast doctor --warm

demo: setup  ## compare four topologies under production traffic
	$(BIN)/servecast run scenarios/quickstart.yaml

lint: .venv/.stamp  ## formatting, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: setup lint  ## everything that CI checks
	$(BIN)/pytest -n 2

clean:  ## remove what was built
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis runs
