# make search   installs evotune into .venv and tunes the attention kernel for this machine
# make test     lint, types and every test that this machine can run, but for the storms
# make unit     the tests that need no compiler, no Ray and no database server
# make quick    lint, types and the tests of the rooms that git sees changed, or of PATHS="evotune/space tests/unit/db"
# make docs     the documentation as a site, in site/
# make storm    searches that are killed a hundred times on each database, workers that give odd results
# make PYTHON=python3.12 ...   with another Python (3.11 to 3.13)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
PROJECT := pyproject.toml constraints.txt
# nvcc, cuda-core and nvidia-ml-py, where there is an NVIDIA GPU.
EXTRA := $(if $(shell command -v nvidia-smi),[cuda])
# For `make quick`: paths given by the user, else changed and new files; and the tests of their rooms.
PATHS ?= $(shell git diff --name-only --diff-filter=d HEAD -- '*.py'; git ls-files --others --exclude-standard '*.py')
TESTS = $(shell $(BIN)/python -m tests.rooms $(PATHS))

# Tests start hundreds of processes. Where Python writes no bytecode, each of them compiles every module again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: search test side-by-side quiet unit quick docs storm lint style types clean

search: $(INSTALLED)
	$(BIN)/evotune search --budget 200

# What times kernels on the CPU runs alone; the rest side by side, types beside them, and idle threads leave their core
# to the neighbour. Files in their order, so that the many small ones of tests/unit fill the gaps at the end.
test: $(INSTALLED_DEV) style
	$(MAKE) --no-print-directory --jobs 2 types side-by-side
	$(MAKE) --no-print-directory quiet

# Only files with such tests: to collect all of them takes 10 s. Once more what fails: another guest of a shared machine
# can disturb a timing, a defect fails twice.
quiet: $(INSTALLED_DEV)
	$(BIN)/pytest -m "not gpu and not storm and quiet" --reruns 1 $$(grep -rl mark.quiet tests/adversarial tests/integration --include '*.py')

side-by-side: $(INSTALLED_DEV)
	OMP_WAIT_POLICY=passive $(BIN)/pytest -m "not gpu and not storm and not quiet" --numprocesses 3 --dist loadfile --no-loadscope-reorder

unit: $(INSTALLED_DEV)
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/pytest tests/unit --numprocesses 2 --dist loadfile

quick: $(INSTALLED_DEV) lint
	$(if $(TESTS),$(BIN)/pytest $(TESTS),@echo 'no tests of PATHS')

# Warnings are errors: a link that leads nowhere, a page that is in no menu.
docs: $(INSTALLED_DEV)
	$(BIN)/mkdocs build --strict

# What times kernels runs alone: nothing else should run on the machine.
storm: $(INSTALLED_DEV)
	$(BIN)/pytest -m storm
	$(BIN)/python -m tests.storm --kills 100 --database sqlite
	$(BIN)/python -m tests.storm --kills 100 --database postgresql

lint: style types

style: $(INSTALLED_DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED_DEV)
	$(BIN)/mypy

clean:
	rm -rf $(VENV) dist build site .mypy_cache .pytest_cache .ruff_cache .hypothesis

# The pip that comes with Python 3.11 and 3.12 knows no --group; hence the pinned one.
$(INSTALLED): $(BIN)/python $(PROJECT)
	$(PIP) install --quiet --constraint constraints.txt --upgrade pip
	$(PIP) install --quiet --constraint constraints.txt --editable '.$(EXTRA)'
	touch $@

$(INSTALLED_DEV): $(INSTALLED)
	$(PIP) install --quiet --constraint constraints.txt --group dev
	touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo 'evotune needs Python 3.11, 3.12 or 3.13; name one: make PYTHON=python3.12' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
