# Each target does its own set-up: Python 3.11 and make are all that a bare machine needs.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
WORKERS ?= 3

# Our own modules are compiled once, not in each of the many processes that tests start.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo ui test lives soak servers lint format bench docs lock clean

setup: .venv/.ready  ## Create .venv with the locked dependencies

.venv/.ready: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "Python 3.11 is needed: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv
	sed -n '/^uv==/,/# via/p' requirements.lock > .venv/uv.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r .venv/uv.txt
	VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --compile-bytecode --require-hashes --no-deps -r requirements.lock || \
		$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: setup  ## Deliver four flows to folders, an S3 API and an sFTP server, and check what arrived
	$(BIN)/flows demo

ui: setup  ## Dagster on http://127.0.0.1:3000 with its daemon, over the demo's living event table
	$(BIN)/python -m flow_assets.demo.live

test: setup servers  ## The whole test suite
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(TESTS)

lives: setup servers  ## Random lives of flows that nobody lived before, until one of them fails or ten rounds are over
	for round in 1 2 3 4 5 6 7 8 9 10; do FLOW_LIFE_SEED=new $(BIN)/python -m pytest -n $(WORKERS) tests/test_life.py || exit 1; done

soak: setup servers  ## Hours of operation in some minutes while everything goes wrong: servers, daemon, specs, secrets
	$(BIN)/python -m tests.soak

servers:  ## Debian packages of the servers and the browser that tests use (only as root; otherwise their cases are skipped by name)
	sh tests/install_servers.sh

lint: setup  ## Style, types, and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: setup
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

bench: setup servers  ## Measure, us and everybody else; results in benchmarks/RESULTS.md (SECTIONS="narrow uploads" for some of it)
	sh benchmarks/setup.sh $(PYTHON)
	$(BIN)/python -m benchmarks $(SECTIONS)

docs: setup  ## Write the reference and the JSON Schemas anew from the models
	$(BIN)/python -m flow_assets.spec.reference

screenshots: setup servers  ## Take the pictures of the documentation anew, in Dagster's real UI
	$(BIN)/python -m tests.screenshots

lock: setup  ## Resolve the dependencies anew
	$(BIN)/uv pip compile --quiet pyproject.toml --all-extras --group dev --generate-hashes --no-emit-index-url --no-header --upgrade -o requirements.lock
	$(BIN)/uv pip compile --quiet --group bench --constraints requirements.lock --generate-hashes --no-emit-index-url --no-header --upgrade -o benchmarks/requirements.lock
	$(BIN)/uv pip compile --quiet --group bench-dbt --generate-hashes --no-emit-index-url --no-header --upgrade -o benchmarks/requirements-dbt.lock

clean:
	rm -rf .venv .venv-bench .venv-dbt .demo .flows .dagster
