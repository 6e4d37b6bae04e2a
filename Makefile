# `make` alone lists the commands.
MAKEFLAGS += --no-print-directory
SHELL := /bin/sh
# what is compiled is kept: each process that a test starts would compile all of it anew
unexport PYTHONDONTWRITEBYTECODE
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?=
DEMO ?= 1
PORT ?=
NAME ?=
FULL ?=
ARGS ?=
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
INSTALL := $(PIP) install --require-hashes --only-binary :all:
# --no-deps: everything is in the lock; --no-build-isolation: setuptools is in it too
OURSELVES := $(PIP) install --no-build-isolation --no-deps --editable .
COMPILE := $(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-header --no-config \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host

.DEFAULT_GOAL := help
.PHONY: help up test again check fmt bench faults fuzz pages pictures docs drift messages lock clean

help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: $(VENV)/run.stamp ## start everything on this machine (DEMO=0: without demo data; PORT=8001: another port)
	@exec $(BIN)/bursar up $(if $(filter 0 no false,$(DEMO)),--no-demo) $(if $(PORT),--port $(PORT))

test: $(VENV)/dev.stamp ## the test suite (ARGS="-k name": some of it)
	@$(BIN)/python -m pytest --numprocesses auto --dist loadfile -m "not again and not faults and not bench and not pages" $(ARGS)

check: $(VENV)/dev.stamp ## style, types, directions of imports, drift between models and migrations
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict app admin_views tasks
	$(BIN)/lint-imports
	$(BIN)/python -m app.migrations

fmt: $(VENV)/dev.stamp ## put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

pages: $(VENV)/dev.stamp ## in Chromium: every page under the policy and axe-core, each part by hand
	@$(BIN)/python -m pytest --numprocesses auto --dist worksteal -m pages $(ARGS)

again: $(VENV)/dev.stamp ## the long tests and those of screens and pages once more, on PostgreSQL
	@$(BIN)/python -m pytest --numprocesses auto --dist loadfile -m again $(ARGS)

faults: $(VENV)/dev.stamp ## only the tests that kill processes (FULL=1: with the long numbers)
	@$(if $(filter 1 yes,$(FULL)),BURSAR_FAULTS_FULL=1) $(BIN)/python -m pytest -m faults --numprocesses 2 --dist load $(ARGS)

bench: $(VENV)/dev.stamp ## measure (NAME=lists: only those whose name contains it)
	@$(BIN)/python -m pytest -m bench -s $(if $(NAME),-k $(NAME)) $(ARGS)

messages: $(VENV)/dev.stamp ## bring the catalogues in app/locale up to date with the marked strings
	@$(BIN)/pybabel -q extract -F babel.cfg -k _ -k gettext -k ngettext:1,2 --no-location --sort-output -o var/bursar.pot .
	@for code in de es ru; do \
		$(BIN)/pybabel -q update --no-fuzzy-matching --ignore-obsolete --no-wrap -i var/bursar.pot -o app/locale/$$code.po -l $$code; \
	done

pictures: $(VENV)/dev.stamp ## screenshots of every page into var/pictures/ (ARGS="--page customer --language de --theme dark")
	@$(BIN)/python -m tests.browser.pictures $(ARGS)

docs: $(VENV)/dev.stamp ## the pictures of docs/client.md: five pages of the client area, on a desk and on a phone
	@$(BIN)/python -m tests.browser.documented

fuzz: $(VENV)/dev.stamp ## 100,000 random requests (BURSAR_FUZZ=n: so many; BURSAR_FUZZ_SEED=n: those of that run again)
	@BURSAR_FUZZ=$${BURSAR_FUZZ:-100000} $(BIN)/python -m pytest tests/generated/test_fuzz.py $(ARGS)

lock: $(VENV)/dev.stamp ## write the lock files anew from requirements*.in (with Python 3.11)
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "make lock: needs a .venv of Python 3.11")'
	@$(PIP) install pip-tools
	@rm -f requirements.lock requirements-dev.lock
	$(COMPILE) --output-file requirements.lock requirements.in
	$(COMPILE) --output-file requirements-dev.lock requirements-dev.in

clean: ## remove the virtual environment and the caches; var/ with the data stays
	rm -rf $(VENV) build bursar.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find app admin_views tasks tests alembic -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# The first of these that is Python 3.11 or 3.12; a name on PATH may be an empty shell, so each is asked.
$(BIN)/python:
	@for python in $(PYTHON) python3.12 python3.11 python3; do \
		"$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null || continue; \
		if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then missing=$$python; continue; fi; \
		echo "Making a virtual environment with $$("$$python" --version) ..."; \
		exec "$$python" -m venv --clear $(VENV); \
	done; \
	if [ -n "$$missing" ]; then echo "$$missing cannot make virtual environments: install the package python3-venv" >&2; \
	else echo "Bursar needs Python 3.11 or 3.12, and neither is on PATH" >&2; fi; \
	exit 1

# dev holds everything that run holds, so after `make test` there is nothing left to install for `make up`.
$(VENV)/run.stamp: requirements.lock pyproject.toml $(BIN)/python
	@echo "Installing the packages of requirements.lock ..."
	@$(INSTALL) --requirement requirements.lock
	@$(OURSELVES)
	@touch $@
	@$(BIN)/python -c 'from app.localrun import redis_binary; redis_binary()' 2>/dev/null || [ -n "$$BURSAR_REDIS_URL" ] || \
		echo "There is no Redis for $$(uname -m): install redis-server, or set BURSAR_REDIS_URL" >&2

$(VENV)/dev.stamp: requirements-dev.lock requirements.lock pyproject.toml $(BIN)/python
	@echo "Installing the packages of requirements-dev.lock ..."
	@$(INSTALL) --requirement requirements-dev.lock
	@$(OURSELVES)
	@touch $@ $(VENV)/run.stamp
