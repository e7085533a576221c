# Everything runs in an environment of its own, .venv, that the first command creates.
PYTHON ?= python3
OLDEST_PYTHON ?= python3.10
VENV ?= .venv
BIN := $(VENV)/bin
FLOORS := .venv-floors

.PHONY: search test test-all test-processors floors lint house schemas docs docs-version screenshots notebooks bench servers

search: $(VENV)/.installed
	$(BIN)/nas-sens search studies/quickstart.toml

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest

# Also what takes minutes, and searches on PostgreSQL and MariaDB servers, which the tests start and stop.
test-all: $(VENV)/.installed-all servers
	$(BIN)/python -m pytest -m 'not gpu' -rs

# The last bits of results differ between processors and numbers of threads; tests must not. Each setting is for PyTorch's
# own kernels, oneDNN and MKL.
BASELINE := ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_ENABLE_INSTRUCTIONS=SSE4_2
AVX2 := ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2

test-processors: $(VENV)/.installed-dev
	failed=0; for instructions in "$(BASELINE)" "$(AVX2)"; do for threads in 1 2; do \
		echo "$$instructions, threads: $$threads"; \
		env $$instructions NAS_SENS_TEST_THREADS=$$threads $(BIN)/python -m pytest || failed=1; \
	done; done; exit $$failed

# The oldest versions that pyproject.toml allows, on the oldest Python.
floors: $(FLOORS)/.installed
	$(FLOORS)/bin/python -m pytest

lint: $(VENV)/.installed-dev
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/pre-commit run --all-files --show-diff-on-failure

# JSON schemas of study files, for editors: a test tells when they are not those of the classes any more.
schemas: $(VENV)/.installed-dev
	$(BIN)/nas-sens schema study > schemas/study.json
	$(BIN)/nas-sens schema search_space > schemas/search_space.json

# Rooms of the package, their levels and the arrows between them.
house: $(VENV)/.installed-dev
	$(BIN)/python docs/house.py

# Strict: broken links, anchors and references fail; with --quiet they would not, as warnings are dropped before they are
# counted. Material tells of a fork of MkDocs on stderr, which is no warning of these pages, unless it is asked not to.
MKDOCS := env NO_MKDOCS_2_WARNING=1

docs: $(VENV)/.installed-docs
	$(MKDOCS) $(BIN)/python -m mkdocs build --strict
	@echo "build/site/index.html"

# One more version beside those in the branch gh-pages: make docs-version VERSION=0.1
docs-version: $(VENV)/.installed-docs
	$(MKDOCS) PATH="$(abspath $(BIN)):$$PATH" $(BIN)/mike deploy --update-aliases $(VERSION) latest

# Report, dashboard and pages as a headless Chromium shows them, into docs/assets/screenshots.
screenshots: docs
	$(BIN)/python docs/scripts/screenshots.py

# The notebooks of examples/ with their outputs.
notebooks: $(VENV)/.installed-docs
	$(BIN)/python docs/scripts/notebooks.py

bench: $(VENV)/.installed
	for script in benchmarks/*.py; do $(BIN)/python $$script || [ $$? = 2 ] || exit 1; done  # 2: data are missing

# On Debian, as root; elsewhere tests of a server that is missing are skipped, and say so.
servers:
	@ls /usr/lib/postgresql/*/bin/initdb /usr/sbin/mariadbd >/dev/null 2>&1 \
		|| { [ "$$(id -u)" = 0 ] && apt-get install --yes --no-install-recommends postgresql mariadb-server; } \
		|| echo "PostgreSQL or MariaDB is missing: apt-get install postgresql mariadb-server"

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml nas_sens/__init__.py | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet torch torchvision
	$(BIN)/python -m pip install --quiet -e .
	touch $@

$(VENV)/.installed-dev: pyproject.toml $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch $@

$(VENV)/.installed-docs: pyproject.toml $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -e '.[docs]'
	touch $@

$(VENV)/.installed-all: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet -e '.[dev,onnx,huggingface,postgresql,mysql,s3,gcs,ray,slurm,examples]'
	touch $@

$(FLOORS)/.installed: pyproject.toml .ci/floors.py
	$(OLDEST_PYTHON) -m venv --clear $(FLOORS)
	$(FLOORS)/bin/python -m pip install --quiet packaging tomli
	$(FLOORS)/bin/python .ci/floors.py dev > $(FLOORS)/constraints.txt
	$(FLOORS)/bin/python -m pip install --quiet -c $(FLOORS)/constraints.txt -e '.[dev]'
	touch $@
