# Every target makes and reuses .venv by itself; a stamp file for each set of extras says what is in it.
.DEFAULT_GOAL := help
.NOTPARALLEL:

VENV := .venv
BIN := $(VENV)/bin

# python3 may be older than python3.12 beside it: take the first that is new enough.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

# On matrices this small a second BLAS thread costs more than it gives: fivefold, where another program runs too.
export OMP_NUM_THREADS ?= 1

# What is compiled once need not be at the start of each process: a bare environment may say otherwise.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help train test crosscheck mutants bench docs notebooks lint clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

train: $(VENV)/has-train  ## train the lessons' transformer; ARGS="--help" shows the options
	$(BIN)/python -m transformer train $(ARGS)

test: $(VENV)/has-test  ## all tests a user needs; ARGS="-k softmax" selects
	$(BIN)/python -m pytest -q -n auto --dist worksteal $(ARGS)

crosscheck: $(VENV)/has-crosscheck  ## operations, models and optimisers against PyTorch; training under mpirun
	$(BIN)/python -m pytest -q tests/crosscheck $(ARGS)

mutants: export PYTHONDONTWRITEBYTECODE := 1
mutants: $(VENV)/has-mutants  ## plant mutmut's mutations of the rules; ARGS="--sample 100" draws so many
	$(BIN)/python tests/meta/mutants.py $(ARGS)

bench: $(VENV)/has-bench  ## time the engine beside its peers, into docs/benchmarks.md; ARGS=--quick is short
	PYTHONPATH=tests $(BIN)/python -m benchmarks $(ARGS)

docs: $(VENV)/has-docs  ## build and test the site in docs/_build; a warning is an error
	$(BIN)/python -m sphinx -q -W --keep-going -j 2 -b html docs docs/_build/html
	$(BIN)/python docs/archive.py
	$(BIN)/python -m codespell_lib README.md CONTRIBUTING.md CHANGELOG.md docs/*.md docs/*.py docs/lessons
	$(BIN)/python -m pytest -q -n auto --dist loadfile tests/site docs/lessons docs/hyperparameters.md
	@echo "docs/_build/html/index.html"

notebooks: $(VENV)/has-docs  ## write the lessons as notebooks into docs/_build/notebooks
	$(BIN)/python docs/notebooks.py

lint: $(VENV)/has-lint  ## ruff and mypy --strict
	$(BIN)/python -m ruff check .
	$(BIN)/python -m mypy

clean:  ## remove what make made; runs/ stays
	rm -rf $(VENV) build docs/_build docs/reference *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer on PATH: install one, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) -m venv failed (on Debian and Ubuntu: apt-get install python3-venv)" >&2; exit 1; }

$(VENV)/has-crosscheck $(VENV)/has-docs: $(VENV)/has-test

$(VENV)/has-%: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable ".[$*]"
	@[ $* != docs ] || $(BIN)/python docs/mathjax.py
	@touch $@

.SECONDARY:
