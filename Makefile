# Needs python3 (3.11 or newer, with its venv module) and make; everything else is installed into .venv.

PYTHON ?= python3
BIN := .venv/bin
# Two processes are enough to keep the waiting of one test from holding up the others.
PROCESSES ?= 2

.DEFAULT_GOAL := help
.PHONY: help build docs demo up sdk-venv test test-fast test-sqlite test-postgresql lint format bench chaos mutants screenshots lock audit translations clean

help:
	@echo "make demo          the whole system with sample data and simulated providers; no account needed"
	@echo "make demo ONCE=1   the same without a screen: send to 200 contacts, compare, end"
	@echo "make up            your installation: web, worker, beat and broker"
	@echo "make docs          the documentation as a site, shown under /docs/"
	@echo "make build         what a container image or another installation without a person needs (deploy/)"
	@echo "make test          all tests: on SQLite (the database part), then everything on PostgreSQL"
	@echo "make test-fast     most of them on PostgreSQL, in a few minutes, for daily work"
	@echo "make lint          formatting, rules, types, imports, migrations, translations, wording, API"
	@echo "make bench         figures beside their targets; QUICK=1: smaller, in minutes, and no target is judged by it"
	@echo "make chaos         kills and faults in the middle of sends"
	@echo "make mutants       what the tests do not notice; MODULES=, NUMBER=, SEED="
	@echo "make screenshots   the pictures in docs/screenshots, taken anew"

# --- Environments: the stamp is written last, so a broken installation is never taken for a good one ------------------

.venv/runtime: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Switchboard needs Python 3.11 or newer; try: make PYTHON=python3.12")'
	@$(PYTHON) -c 'import ensurepip' || { echo "Python's venv module is missing; on Debian: apt install python3-venv"; exit 1; }
	test -x $(BIN)/pip || $(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

.venv/development: requirements-dev.txt .venv/runtime
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

# The providers' own SDKs, apart from everything else: tests/sdk compares what they send with what we send.
.venv-sdk/ready: requirements-sdk.txt
	test -x .venv-sdk/bin/pip || $(PYTHON) -m venv --clear .venv-sdk
	.venv-sdk/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-sdk.txt
	@touch $@

sdk-venv: .venv-sdk/ready

.env: | .venv/runtime
	@$(BIN)/python -m config.ops.first_run

# What an installation without a person at it needs (deploy/Containerfile): nothing is compiled when it starts.
build: export ENV_FILE := /dev/null
build: export SECRET_KEY := build
build: export FERNET_KEYS := build
build: .venv/runtime
	$(BIN)/python manage.py compile_translations
	$(BIN)/python -m compileall -q -j 0 -x '/tests/' .

# The documentation as a site, which the web server shows under /docs/. Sphinx is for this alone: the image builds it apart.
docs: export ENV_FILE := /dev/null
docs: export SECRET_KEY := build
docs: export FERNET_KEYS := build
docs: .venv/runtime
	@$(BIN)/python -c 'import sphinx' 2>/dev/null || $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-docs.txt
	@$(BIN)/python manage.py compile_translations
	@$(BIN)/python manage.py build_docs

translations: .venv/runtime .env
	@$(BIN)/python manage.py compile_translations

# --- Running -----------------------------------------------------------------------------------------------------------

demo: .venv/runtime .env
	@$(BIN)/python manage.py demo $(if $(ONCE),--once)

up: .venv/runtime .env
	@$(BIN)/python manage.py up

# --- Checking ----------------------------------------------------------------------------------------------------------

# Each test goes to whichever process is free; faults and the browser come last (tests/conftest.py).
PYTEST := $(BIN)/python -m pytest -n $(PROCESSES) --dist loadgroup --no-loadscope-reorder --durations 12

test: test-sqlite test-postgresql

# For daily work: one database, no browser, no faults, and without the files that take more than eight seconds each (what
# walks every page, starts whole installations, or tries hundreds of cases).
SLOW := \
	account_life api applying asking batches bodies bulkheads columns commitments connections depends deploy deploy_checks \
	distribution_by_text distribution_pages documentation editing_planned exports extensions_portal filters fingerprint \
	first_organization forgetting german_reader hostile_requests import import_files import_worker key_rotation languages \
	lines list_counts locks logs meanwhile migrate newcomers news numbers once_only page_queries permissions planned \
	provider_pages pump_guards quick_reading refused_counts restore secrets_of_webhooks see_recipients selftest sending \
	settling simulator stored_words sums supervisor taking_over tenancy throttle times tracing turns vocabulary voice \
	wake_ups watching webhooks who_may working_out
test-fast: .venv/development
	$(PYTEST) -m "not browser and not chaos and not nginx" --ignore tests/sdk $(SLOW:%=--ignore tests/test_%.py)

test-sqlite: .venv/development
	TEST_DATABASE=sqlite $(PYTEST)

test-postgresql: .venv/development
	$(PYTEST)

# The type checker's Django plugin and the commands read the settings; there need be no .env for that.
lint: export ENV_FILE := /dev/null
lint: export SECRET_KEY := lint
lint: export FERNET_KEYS := lint
lint: .venv/development
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py check_translations
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null

format: .venv/development
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/development
	$(BIN)/python -m bench $(if $(QUICK),--quick)

chaos: .venv/development
	$(BIN)/python -m pytest -m chaos -v

# By hand: mutants of these modules, tried against the tests that run the line (tests/mutants.py says more).
MODULES ?= distributions/engine/pacing.py extensions/health.py
NUMBER ?= 20
SEED ?= 1
mutants: .venv/development
	TEST_DATABASE=sqlite $(BIN)/python -m tests.mutants $(MODULES) --number $(NUMBER) --seed $(SEED)

screenshots: .venv/development
	$(BIN)/python -m pytest tests/browser/screenshots.py -q

# --- Upkeep ------------------------------------------------------------------------------------------------------------

# The files have hashes for every platform and name no address.
LOCK := uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet --no-emit-index-url --no-emit-find-links

lock:
	$(LOCK) requirements.in -o requirements.txt
	$(LOCK) requirements-sentry.in -o requirements-sentry.txt
	$(LOCK) requirements-docs.in -o requirements-docs.txt
	$(LOCK) requirements-dev.in -o requirements-dev.txt
	$(LOCK) requirements-sdk.in -o requirements-sdk.txt

# Whether an advisory is known for a locked package; where https://osv.dev cannot be asked it says so.
audit: .venv/development
	$(BIN)/python -m tests.advisories $(AUDIT)

clean:
	rm -rf .venv .venv-sdk .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache test-results var/demo
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -f locale/*/LC_MESSAGES/*.mo
