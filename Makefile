# Two commands do everything on a fresh machine (Python 3.11 or newer, git, make):
#   make demo    find the damage on a scan; results in out/demo/
#   make test    lint, types, layers, tests, doctests
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SCAN   ?=

.PHONY: demo test test-slow bench lint fix clean

demo: $(VENV)/.demo
	$(BIN)/surfacedefect demo --out out/demo $(if $(SCAN),--scan "$(SCAN)")

test: $(VENV)/.all lint
	$(BIN)/python -m pytest -m "not slow"

test-slow: $(VENV)/.all
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/.all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(VENV)/.all
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.bench
	$(BIN)/python benchmarks/bench_import.py
	$(BIN)/python benchmarks/bench_overlap.py
	$(BIN)/python benchmarks/bench_stitching.py
	$(BIN)/python benchmarks/bench_synthetic.py

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "surfacedefect needs Python 3.11 or newer, found " + sys.version.split()[0] + "; try: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)

# An environment that has everything has what the demo needs too.
$(VENV)/.demo: $(BIN)/python pyproject.toml
	@echo "installing what the demo needs into $(VENV); the first time this takes a few minutes"
	test -e $(VENV)/.all || $(BIN)/python -m pip install -q -e '.[cpu]'
	touch $@

$(VENV)/.all: $(BIN)/python pyproject.toml
	@echo "installing everything into $(VENV); the first time this takes several minutes and 6 GB"
	$(BIN)/python -m pip install -q -e '.[all]'
	touch $@

$(VENV)/.bench: $(VENV)/.all pyproject.toml
	$(BIN)/python -m pip install -q -e '.[all,bench]'
	touch $@

clean:
	rm -rf $(VENV) out dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
