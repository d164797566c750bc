# Everything a newcomer types. Each target sets up what it needs; nothing asks a question.
#   make demo    the main job, end to end, on this machine
#   make test    formatting, lint, types, tests, coverage
#   make docs    rewrites the reference in generator/README.md and proxy/README.md
#   make lock    pins every dependency anew, with the hashes of all its files
#   make fuzz    random input, for FUZZ_SECONDS (120)
#   make soak    ten minutes of faults (SOAK_SECONDS) with a real Prometheus, planned from SOAK_SEED
#   make bench   ratios against the bare minimum of the same stack
#   make screenshots   pictures of the proxy's page, by headless Chromium

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEMO := $(VENV)/.demo

.PHONY: google demo test compiled-tests lint format fuzz soak bench docs screenshots lock setup prometheus checkers consumers clean

setup: $(STAMP)

define venv
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
  || { echo "runscrape needs Python 3.11 or newer, and '$(PYTHON)' is not: try make PYTHON=python3.12" >&2; exit 1; }
@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
  || { echo "Python's venv module is missing: sudo apt-get install python3-venv" >&2; exit 1; }
@$(PYTHON) -m venv $(VENV)
endef
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable

$(STAMP): pyproject.toml
	$(venv)
	@echo "installing into $(VENV): runscrape, and what its tests and checks need"
	@$(INSTALL) '.[dev]'
	@touch $@ $(DEMO)

$(DEMO): pyproject.toml
	$(venv)
	@echo "installing into $(VENV): runscrape; cryptography, pydantic, pyjwt and trustme for its Google"
	@$(INSTALL) '.[demo]'
	@touch $@

# By apt, where that needs no question. The demo and the tests need Prometheus (CI: must have it);
# the other programs check what is written for them, and their tests are skipped without.
prometheus:
	@examples/demo/install-packages prometheus=prometheus promtool=prometheus || true

checkers: prometheus
	@examples/demo/install-packages vmagent=victoria-metrics systemd-analyze=systemd \
	  prometheus-node-exporter=prometheus-node-exporter || true

# Newer releases of Prometheus and vmagent for the tests, 400 MB unpacked below the virtual
# environment; nothing is installed. What cannot be had is named, and not tried (CI: must have a 3.x).
consumers: $(STAMP)
	@tests/consumers/fetch $(VENV)/consumers || true

demo: $(DEMO)
	@examples/demo/install-packages prometheus=prometheus 2>/dev/null || true
	@PYTHONPATH=examples $(BIN)/python -m demo

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy generator proxy tests examples

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Pytest compiles the tests in its own way, with their assertions told in full: once, where its six
# processes would each do so at the same time.
compiled-tests: $(STAMP)
	@$(BIN)/python -m pytest --collect-only -qq >/dev/null || true

# What is downloaded for the tests comes while the code is checked. Bytecode is kept, whatever the
# environment says: hundreds of programs are started, and each would compile all its modules.
test: export PYTHONDONTWRITEBYTECODE =
test: $(STAMP) checkers
	@$(MAKE) --no-print-directory --jobs 3 --output-sync=line lint consumers compiled-tests
	@$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --numprocesses 6 --dist loadfile --no-loadscope-reorder
	@$(BIN)/python -m tests.kit.coverage_files
	@$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# Read-only. REGION and IMPERSONATE (a service account that may invoke the service) may be left out.
google: $(STAMP)
	@PYTHONPATH=examples $(BIN)/python -m tests.google --project '$(PROJECT)' \
	  --service '$(if $(REGION),$(REGION)/)$(SERVICE)' --impersonate '$(IMPERSONATE)' \
	  --report '$(or $(REPORT),google.md)'

fuzz: $(STAMP)
	@PYTHONPATH=examples $(BIN)/python -m tests.fuzz

soak: $(STAMP) checkers consumers
	@PYTHONPATH=examples $(BIN)/python -m tests.soak

bench: $(STAMP)
	@PYTHONPATH=examples $(BIN)/python -m tests.bench

# The reference in both manuals, from the code.
docs: $(STAMP)
	@PYTHONPATH=examples $(BIN)/python -m tests.docs.reference

screenshots: $(STAMP)
	@PYTHONPATH=examples $(BIN)/python -m screenshots

# The image installs what this file pins, for any Python from 3.11 on and any platform; setuptools is
# there to build the image's own wheel. Run it after a change of the dependencies, and now and then.
lock: $(STAMP)
	@echo 'setuptools>=77' | $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	  --generate-hashes --no-annotate --custom-compile-command 'make lock' \
	  --output-file requirements.lock pyproject.toml -

clean:
	rm -rf $(VENV) build dist *.egg-info .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache
