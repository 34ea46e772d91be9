# Two commands do everything on a fresh machine (Python 3.11 or newer, git, make):
#   make demo    find the damage on a scan; results in out/demo/
#   make test    lint, types, layers, tests, doctests, the examples of the pages
# Others: make bench-quick, bench, bench-all (benchmarks/README.md), docs, docs-serve, test-slow, test-oldest, test-newest,
# dist, fix, clean
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SCAN   ?=
# Processes of the tests; a file is run by one of them. A process that dies, or a test of ten minutes, ends the run and is
# named: pytest-xdist up to 3.8 may wait for ever once it has replaced a process (its issue 1323).
JOBS   ?= 2
RUN_TESTS = $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --max-worker-restart 0 \
            -o faulthandler_timeout=600 -o faulthandler_exit_on_timeout=true

.PHONY: demo test test-slow test-oldest test-newest bench bench-quick bench-all docs docs-serve dist lint fix clean

demo: $(VENV)/.demo
	$(BIN)/surfacedefect demo --out out/demo $(if $(SCAN),--scan "$(SCAN)")

test: $(VENV)/.all lint
	$(RUN_TESTS) -m "not slow"

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

# The site, once, into site/; fails at a broken link or an entry of the reference that is missing.
docs: $(VENV)/.all
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

docs-serve: $(VENV)/.all
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve --dev-addr 127.0.0.1:8000

# Both archives, their texts and their contents checked. Upload is the release workflow's, which gives the tag as TAG.
dist: $(VENV)/.all
	$(BIN)/python .ci/tag.py
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	$(BIN)/python -m pytest -q tests/test_package.py

# The oldest packages that pyproject.toml allows, and the newest there are, each in an environment of its own.
test-oldest: $(VENV)/.all
	$(BIN)/python .ci/dependencies.py oldest --python $(PYTHON)

test-newest: $(VENV)/.all
	$(BIN)/python .ci/dependencies.py newest --python $(PYTHON)

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
	$(BIN)/python benchmarks/bench_engines.py
	$(BIN)/python benchmarks/bench_speed.py
	$(BIN)/python benchmarks/bench_scaling.py
	$(BIN)/python benchmarks/bench_deflectometry.py
	$(BIN)/python benchmarks/bench_synthetic.py
	$(BIN)/python benchmarks/bench_ingest.py
	$(BIN)/python benchmarks/bench_near_duplicates.py
	$(BIN)/python benchmarks/bench_flags.py
	$(BIN)/python benchmarks/bench_serving.py
	$(BIN)/python benchmarks/bench_web.py
	$(BIN)/python benchmarks/bench_batch.py
	$(BIN)/python benchmarks/simulate_fleet.py
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
