# The commands of this repository; `make help` lists them. All of them work in a fresh clone: they set up .venv first.

PYTHON ?= python3
BIN := .venv/bin
WORKERS := -n auto --maxprocesses 4 --dist worksteal
PIP := $(BIN)/python -m pip --disable-pip-version-check install -c constraints.txt

.PHONY: run test test-all format docs peers clean help
.DEFAULT_GOAL := help

run: .venv/ready  ## train a first model: `chainrule fit digits`
	$(BIN)/chainrule fit digits

test: .venv/ready-dev  ## lint, types, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest $(WORKERS)

test-all: .venv/ready-dev  ## the slow tests too
	$(BIN)/python -m pytest $(WORKERS) -m ""

format: .venv/ready-dev  ## put the code into the house's form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/ready-dev  ## write the generated pages of docs/ again
	$(BIN)/python docs/generate.py
	$(BIN)/python docs/draw_schedules.py
	$(BIN)/python docs/draw_anatomy.py
	$(BIN)/python docs/draw_traces.py
	$(BIN)/python docs/draw_structure.py

peers: .venv/ready-dev  ## torchvision and timm, for the tests that compare with them
	$(PIP) --no-deps --upgrade --target .peers torchvision timm

clean:  ## remove .venv and all caches
	rm -rf .venv .peers build dist src/*.egg-info .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

help:
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 16

# The stamps make a second call instant; a change of the requirements installs again.
.venv/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "chainrule needs Python 3.11 or newer as $(PYTHON); write for instance: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	test -x $(BIN)/pip || $(PYTHON) -m venv --clear .venv
	$(PIP) -e .
	@touch $@

.venv/ready-dev: .venv/ready
	$(PIP) -e ".[dev,vision]"
	@touch $@
