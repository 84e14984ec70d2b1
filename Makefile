# Boardroom: everything a person types. `make` alone lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
IDEA ?= a reading list for a book club

export UV_PYTHON_DOWNLOADS := never
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo up test check format lock clean

help:  ## what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

# The stamps hold the lock's checksum in their time: a changed lock installs again, an unchanged one needs no network.
$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Boardroom needs Python 3.11 or newer; set PYTHON=/path/to/python3"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "No venv here: install python3-venv (Debian, Ubuntu)"; rm -rf $(VENV); exit 2; }
	@echo "Installing Boardroom into $(VENV) (once) ..."
	@$(BIN)/pip install -q --require-hashes -r requirements.lock
	@$(BIN)/pip install -q --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	@echo "Installing the tools for tests and checks (once) ..."
	@$(BIN)/pip install -q --require-hashes -r requirements-dev.lock
	@touch $@

demo: $(VENV)/.installed  ## play the main job: make demo IDEA="a reading list for a book club"
	@$(BIN)/boardroom demo --idea "$$IDEA"

demo: export IDEA := $(IDEA)

up: $(VENV)/.installed  ## run the service in the foreground (PORT, DATA_DIR)
	@$(BIN)/boardroom up

test: $(VENV)/.installed-dev  ## the tests, on real parts
	@$(BIN)/python -m pytest -n 2 --dist loadgroup

check: $(VENV)/.installed-dev  ## format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev  ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(VENV)/.installed-dev  ## resolve the libraries again (needs uv on PATH)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml --group build -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml --group dev -o requirements-dev.lock

clean:  ## remove what was installed and cached (not the data)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
