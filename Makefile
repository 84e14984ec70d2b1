# Boardroom: everything a person types. `make` alone lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
IDEA ?= a reading list for a book club

export PYTHON
export UV_PYTHON_DOWNLOADS := never
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help venv venv-dev demo picture picture-check up workspace-image test campaigns tapes bench check format lock clean

help:  ## what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

venv:
	@scripts/venv requirements.lock

venv-dev:
	@scripts/venv requirements.lock requirements-dev.lock

demo: venv  ## play the main job: make demo IDEA="a reading list for a book club"
	@$(BIN)/boardroom demo --idea "$$IDEA"

# The idea travels in the environment, word for word, whatever quotes or dollars it holds.
demo: override export IDEA := $(value IDEA)

picture: venv  ## the README's picture of the demo anew, from a real run
	@WORKSPACE_RUNTIME=local $(BIN)/python scripts/demo_picture.py

picture-check: venv-dev  ## the picture of model check anew (LLAMAS: a folder of versions of xllamacpp)
	@$(BIN)/python -m scripts.model_check_picture

up: venv  ## run the service in the foreground (PORT, DATA_DIR)
	@exec $(BIN)/boardroom up

workspace-image: venv  ## make the image of the boxes, on the engine of DOCKER_HOST
	@scripts/workspace-image

test: venv-dev  ## the tests, on real parts; ALL=1 adds the long ones
	@$(BIN)/python -m pytest -n 3 --dist loadscope --durations 40 --durations-min 8 -m "not campaign$(if $(ALL),, and not long)"

campaigns: venv-dev  ## the promises at full size, minutes each; ONLY=stream runs test_stream.py
	@$(BIN)/python -m pytest -n 0 -m campaign --timeout 1800 -s $(if $(ONLY),tests/campaigns/test_$(ONLY).py,tests/campaigns)

tapes: venv-dev  ## record the runs of tests/recorded anew, after a prompt was changed
	@$(BIN)/python -m tests.recorded.record

bench: venv-dev  ## what things cost, against the bare alternative, as Markdown and lines of JSON (DOCKER_HOST)
	@$(BIN)/python -m bench.boxes
	@$(BIN)/python -m bench.files
	@$(BIN)/python -m bench.api
	@$(BIN)/python -m bench.stream
	@$(BIN)/python -m bench.crowd
	@$(BIN)/python -m bench.pickup
	@$(BIN)/python -m bench.pipeline
	@$(BIN)/python -m bench.choices
	@$(BIN)/python -m bench.bad_models

check: venv-dev  ## format, lint, types, import rules, lengths, migrations in step
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 0 tests/store tests/test_lengths.py tests/test_imports.py

format: venv-dev  ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: venv-dev  ## resolve the libraries again (needs uv and npm on PATH)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml --group build -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml --group dev -o requirements-dev.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header workspace/requirements.in -o workspace/requirements.txt
	cd workspace && npm install --package-lock-only --no-audit --no-fund --omit-lockfile-registry-resolved=true

clean:  ## remove what was installed and cached (not the data)
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
