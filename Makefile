# All targets use .venv, which `make setup` creates from the pinned requirements.
# `make help` shows the last line of the comment before each target.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
# Tests start hundreds of services, which would compile all modules again if bytecode were not written.
export PYTHONDONTWRITEBYTECODE =
TESTS ?= tests/intake tests/migrations tests/system

.PHONY: help setup demo picture test test-browser test-clamd test-client test-node test-ops test-pgbouncer test-proxy test-redis test-s3 test-schema test-tmux test-upgrade coverage torture attack drill fuzz audit bench bench-quick lint format catalogues screenshots serve requirements clean

# Show this help
help:
	@awk '/^# / { comment = substr($$0, 3); next } \
		/^[a-z][a-z0-9-]*:/ && comment { sub(/:.*/, ""); printf "make %-16s %s\n", $$0, comment } { comment = "" }' $(firstword $(MAKEFILE_LIST))

# Create .venv from the pinned requirements (another Python: make setup PYTHON=python3.12)
setup: .venv/ready

.venv/ready: requirements/uv.txt requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "leadctl needs Python 3.11 or newer; choose one: make PYTHON=python3.12 …")'
	@echo "Setting up .venv (once)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements/dev.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

# Take the pictures of the form in docs (Debian: apt-get install chromium)
screenshots: setup .venv/ready-browser
	$(BIN)/python -m tests.browser.screenshots docs

# Run the service and leadctl on sample data, and print what they do
demo: setup
	@$(BIN)/python -m tests.system.demo

# Export the README's pictures of leadctl from the real program
picture: setup
	@$(BIN)/python -m tests.system.picture docs/leadctl.svg docs/triage.svg

# Run lint, then all tests that need only PyPI
test: lint
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

# Measure the branch coverage of intake and leadctl (some of them: make coverage TESTS=tests/leadctl)
coverage: setup .venv/ready-coverage
	INTAKE_TEST_REAL_STARTS=1 $(BIN)/python -m pytest --numprocesses auto --dist worksteal --cov --cov-report=term-missing:skip-covered $(if $(filter command line,$(origin TESTS)),$(TESTS))

# Test CVs in an S3-compatible store (installs its server, some thirty packages)
test-s3: setup .venv/ready-s3
	$(BIN)/python -m pytest tests/s3

.venv/ready-s3: requirements/s3.txt .venv/ready
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/s3.txt
	@touch $@

# Test scans by a real clamd (Debian: apt-get install clamav-daemon)
test-clamd: setup
	$(BIN)/python -m pytest tests/clamd

# Test the Node example of docs/clients.md (Debian: apt-get install nodejs)
test-node: setup
	$(BIN)/python -m pytest tests/node

# Test the HTML form in a real browser (Debian: apt-get install chromium)
test-browser: setup .venv/ready-browser
	$(BIN)/python -m pytest tests/browser

.venv/ready-browser: requirements/browser.txt .venv/ready
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/browser.txt
	@touch $@

# Test running services against their OpenAPI document (installs schemathesis; more: FLAGS="--examples 200")
test-schema: setup .venv/ready-schema
	@$(BIN)/python -m tests.system.schemathesis_run $(FLAGS)

# Test clients that openapi-python-client generates (installs 25 packages into .venv/client)
test-client: setup .venv/ready-client
	$(BIN)/python -m pytest tests/generated_client

.venv/ready-client: requirements/client.txt .venv/ready
	@$(PYTHON) -m venv --clear --without-pip .venv/client
	@$(BIN)/uv pip install --quiet --python .venv/client/bin/python --require-hashes -r requirements/client.txt
	@touch $@

# Fuzz the multipart reader for 10 minutes (make fuzz SECONDS=60)
fuzz: setup .venv/ready-fuzz
	@$(BIN)/python -m tests.fuzz $(or $(SECONDS),600)

# Look up known vulnerabilities of all pinned packages (needs network access)
audit: setup .venv/ready-audit
	$(BIN)/pip-audit --strict --require-hashes --disable-pip --progress-spinner off $(patsubst %,-r %,$(wildcard requirements/*.txt)) || \
		{ echo "make audit: a pinned package is vulnerable, or the lookup failed; see above" >&2; exit 1; }

.venv/ready-schema .venv/ready-ops .venv/ready-fuzz .venv/ready-audit .venv/ready-bench .venv/ready-coverage: .venv/ready-%: requirements/%.txt .venv/ready
	@echo "Installing $$(grep -c == $<) packages from $< into .venv"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r $<
	@touch $@

# Run TESTS through PgBouncer in transaction mode (Debian: apt-get install pgbouncer)
test-pgbouncer: setup
	INTAKE_TEST_PGBOUNCER=1 $(BIN)/python -m pytest $(TESTS)

# Test docs/nginx.conf, Caddyfile and haproxy.cfg (Debian: apt-get install nginx-light caddy haproxy)
test-proxy: setup
	$(BIN)/python -m pytest tests/proxy

# Test the files in ops/ and docker-compose.yml (Debian: apt-get install prometheus docker-compose systemd)
test-ops: setup .venv/ready-ops
	$(BIN)/python -m pytest tests/ops

# Test rate limits in a real Redis (Debian: apt-get install redis-server)
test-redis: setup
	$(BIN)/python -m pytest tests/redis

# Test the screens of leadctl triage in tmux (Debian: apt-get install tmux)
test-tmux: setup
	$(BIN)/python -m pytest tests/tmux

# Test the upgrade from the version of .ci/previous-commit without downtime (needs the Git history)
test-upgrade: setup
	$(BIN)/python -m pytest tests/upgrade

# Durability tests, 15 minutes; full-disk needs root (some of them: make torture PROOFS="relay")
torture: setup
	@$(BIN)/python -m stress.durability $(PROOFS)

# It needs the Git history, or WITHOUT_UPGRADE=1; SMALL=1 uses short times.
# Practise an upgrade, restarts, backups and failovers (Debian: apt-get install pgbouncer redis-server nginx-light)
drill: setup
	@$(BIN)/python -m stress.drill $(if $(SMALL),--small) $(if $(WITHOUT_UPGRADE),--without-upgrade)

# Some of them: make attack ATTACKS="guesses" SECONDS=10 FLAGS="--database sqlite"
# Load tests on both databases, in one process and two, an hour
attack: setup
	@$(BIN)/python -m stress.load $(if $(SECONDS),--seconds $(SECONDS)) $(FLAGS) $(ATTACKS)

# Check format, lint, types, import layers, and YAML files against their schemas
lint: setup
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache > .venv/lint-imports.log || { cat .venv/lint-imports.log; exit 1; }
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

# Some of them, without writing files: make bench BENCHMARKS="draining"
# Benchmarks as ratios, 15 minutes; writes docs/performance.json and performance.svg
bench: setup .venv/ready-bench
	$(BIN)/python -m benchmarks $(or $(BENCHMARKS),--out docs)

# Run every benchmark in two minutes, without writing files
bench-quick: setup .venv/ready-bench
	$(BIN)/python -m benchmarks --quick $(BENCHMARKS)

# Fix lint errors and format
format: setup
	$(BIN)/ruff check --quiet --fix .
	$(BIN)/ruff format --quiet .

# Update the catalogues of the form from its texts, and compile them
catalogues: setup
	$(BIN)/python -m tests.system.catalogues

# Run the service with its defaults
serve: setup
	$(BIN)/intake serve

# The pins contain no addresses, so any mirror works.
# Update the pinned requirements from pyproject.toml
requirements:
	printf 'uv\n' | $(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --generate-hashes --no-header --no-annotate - -o requirements/uv.txt
	$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml --extra server -o requirements/server.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate pyproject.toml --extra server --group dev -c requirements/server.txt -o requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --group s3 -c requirements/dev.txt -o requirements/s3.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --group browser -c requirements/dev.txt -o requirements/browser.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --group client -o requirements/client.txt
	for group in schema ops fuzz audit bench coverage; do \
		$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --group $$group -c requirements/dev.txt -o requirements/$$group.txt || exit 1; \
	done

# Delete .venv and caches
clean:
	rm -rf .venv dist .mypy_cache .ruff_cache .hypothesis
