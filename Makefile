# Everything runs from .venv, which `make setup` fills from the pinned requirements.
PYTHON ?= python3
BIN := .venv/bin
TESTS ?= tests/intake tests/migrations tests/system

.PHONY: setup demo test test-browser test-clamd test-pgbouncer test-proxy test-redis test-s3 test-schema torture attack fuzz audit bench bench-quick lint format serve requirements clean

setup: .venv/ready

.venv/ready: requirements/uv.txt requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "leadctl needs Python 3.11 or newer; say which: make PYTHON=python3.12 …")'
	@echo "Setting up .venv (once)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements/dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup
	@$(BIN)/python -m tests.system.demo

test: lint
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

# CVs in an S3-compatible store; its server is some thirty packages, so it is set up here and not before.
test-s3: setup .venv/ready-s3
	$(BIN)/python -m pytest tests/s3

.venv/ready-s3: requirements/s3.txt .venv/ready
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/s3.txt
	@touch $@

# Scans by a real clamd, with a signature of the tests' own (Debian: apt-get install clamav-daemon).
test-clamd: setup
	$(BIN)/python -m pytest tests/clamd

# The firm's form in a real browser (Debian: apt-get install chromium).
test-browser: setup .venv/ready-browser
	$(BIN)/python -m pytest tests/browser

.venv/ready-browser: requirements/browser.txt .venv/ready
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/browser.txt
# Real services against their own description: schemathesis and what it needs are set up here and not before.
test-schema: setup .venv/ready-schema
	@$(BIN)/python -m tests.system.schemathesis_run $(FLAGS)

# The multipart reader, for so many seconds: make fuzz SECONDS=60
fuzz: setup .venv/ready-fuzz
	@$(BIN)/python -m tests.fuzz $(or $(SECONDS),600)

# Known vulnerabilities of everything that is pinned; asks a service on the network, and fails where that can't be reached.
audit: setup .venv/ready-audit
	$(BIN)/pip-audit --strict --require-hashes --disable-pip --progress-spinner off $(patsubst %,-r %,$(wildcard requirements/*.txt)) || \
		{ echo "make audit: something pinned is vulnerable, or the vulnerability service could not be asked; see above" >&2; exit 1; }

.venv/ready-schema .venv/ready-fuzz .venv/ready-audit .venv/ready-bench: .venv/ready-%: requirements/%.txt .venv/ready
	@echo "Installing $$(grep -c == $<) packages for it into .venv, from $<"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r $<
	@touch $@

# What of TESTS uses PostgreSQL, through a PgBouncer in transaction mode (Debian: apt-get install pgbouncer).
test-pgbouncer: setup
	INTAKE_TEST_PGBOUNCER=1 $(BIN)/python -m pytest $(TESTS)

# docs/nginx.conf and docs/Caddyfile, with real ones before a real service (Debian: apt-get install nginx-light caddy).
test-proxy: setup
	$(BIN)/python -m pytest tests/proxy

# Limits in a real Redis, killed in the middle (Debian: apt-get install redis-server).
test-redis: setup
	$(BIN)/python -m pytest tests/redis

# About 15 minutes; the proof that fills a disk needs root, and the others can be named: make torture PROOFS="relay"
torture: setup
	@$(BIN)/python -m stress.durability $(PROOFS)

# About an hour: two databases, one process and two. Fewer: make attack ATTACKS="guesses" SECONDS=10 FLAGS="--database sqlite"
attack: setup
	@$(BIN)/python -m stress.load $(if $(SECONDS),--seconds $(SECONDS)) $(FLAGS) $(ATTACKS)

lint: setup
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache > .venv/lint-imports.log || { cat .venv/lint-imports.log; exit 1; }
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

# What is promised of speed, as ratios: 15 minutes, and docs/performance.json and .svg anew. Some, writing nothing: make bench BENCHMARKS="draining"
bench: setup .venv/ready-bench
	$(BIN)/python -m benchmarks $(or $(BENCHMARKS),--out docs)

# The same in two minutes: shows that all of it runs, and writes nothing.
bench-quick: setup .venv/ready-bench
	$(BIN)/python -m benchmarks --quick $(BENCHMARKS)

format: setup
	$(BIN)/ruff check --quiet --fix .
	$(BIN)/ruff format --quiet .

serve: setup
	$(BIN)/intake serve

# For maintainers: pin anew what pyproject.toml asks for. No addresses are written, so any mirror will do.
requirements:
	printf 'uv\n' | $(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --generate-hashes --no-header --no-annotate - -o requirements/uv.txt
	$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml --extra server -o requirements/server.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml --extra server --group dev -c requirements/server.txt -o requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --group s3 -c requirements/dev.txt -o requirements/s3.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --group browser -c requirements/dev.txt -o requirements/browser.txt
	for group in schema fuzz audit bench; do \
		$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --group $$group -c requirements/dev.txt -o requirements/$$group.txt || exit 1; \
	done

clean:
	rm -rf .venv dist .mypy_cache .ruff_cache .hypothesis
