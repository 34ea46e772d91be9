# Two commands do everything on a fresh machine (Python 3.11 or newer, git, make):
#   make demo    find the damage on a scan; results in out/demo/
#   make test    lint, types, layers, tests, doctests
# Others: make bench-quick, bench, bench-all (benchmarks/README.md), test-slow, fix, clean
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SCAN   ?=

.PHONY: demo test test-slow bench bench-quick bench-all lint fix clean

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

# What fits in half an hour on two cores, the comparison of methods first; bench-quick only shows that it runs.
bench: $(VENV)/.bench
	$(BIN)/python benchmarks/bench_quality.py
	$(BIN)/python benchmarks/bench_accuracy_trap.py
	$(BIN)/python benchmarks/bench_overlap.py
	$(BIN)/python benchmarks/bench_import.py
	$(BIN)/python docs/make_tables.py

bench-quick: $(VENV)/.bench
	$(BIN)/python benchmarks/bench_quality.py --quick

bench-all: bench
	$(BIN)/python benchmarks/bench_speed.py
	$(BIN)/python benchmarks/bench_scaling.py
	$(BIN)/python benchmarks/bench_deflectometry.py
	$(BIN)/python benchmarks/bench_synthetic.py
	$(BIN)/python benchmarks/bench_serving.py
	$(BIN)/python docs/make_tables.py

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
