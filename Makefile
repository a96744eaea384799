# Berth from a fresh clone: Python 3.11 or later and make are all it takes. `make help` lists it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNNABLE := $(VENV)/requirements.stamp
TESTABLE := $(VENV)/requirements-dev.stamp

# The commands of the Procfile, of the tests and of the recipes below are those of .venv.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# What `make check` takes for production: https, a proxy, and a gateway that charges.
PRODUCTION = BERTH_URL=https://panel.example.com BERTH_PROXIES=1 \
	BERTH_PAYMENT_VARIANTS='{"card": ["orders.stripe.StripeGateway", \
	{"api_key": "sk_live_1", "endpoint_secret": "whsec_1"}]}'

LOCK := pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host
export CUSTOM_COMPILE_COMMAND := make upgrade

.DEFAULT_GOAL := help
.PHONY: help run incus test bench soak check audit format upgrade lock clean

help: ## List what can be done
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# A line for each request would carry away where to go and how to sign in.
run: export BERTH_LOG_LEVEL ?= WARNING
run: $(RUNNABLE) ## Start web, worker and watcher here, with a demo where nothing is stored yet
	@python manage.py launch

incus: $(RUNNABLE) ## Put a real node beside the simulated ones: Incus on this machine, as root
	@token=$$(deploy/incus-node --address 127.0.0.1:8443 --network none --test-image) && \
	python manage.py add_node "$$token" --name real-1

test: $(TESTABLE) ## Pass the tests on SQLite, and on PostgreSQL where it is installed
	@tests/run

bench: export BERTH_DATA := $(CURDIR)/$(VENV)/bench
bench: $(TESTABLE) ## Measure how fast it is, against yardsticks of the same run
	pytest tests/bench -m bench

soak: $(TESTABLE) ## Kill everything at random for ten minutes, on real nodes; as root (SOAK=--help)
	@python -m tests.soak $(SOAK)

# Where nothing is stored, whatever there is in BERTH_DATA.
check: export BERTH_DATA := $(CURDIR)/$(VENV)/check
check: $(TESTABLE) ## Look for mistakes in code, types, templates, settings and migrations
	ruff check
	ruff format --check
	mypy
	find templates -name '*.html' -exec djade --target-version 5.2 --check {} +
	djlint --lint --quiet templates
	$(PRODUCTION) python manage.py check --deploy --fail-level WARNING
	python manage.py makemigrations --check --dry-run

# Apart from `check`: it asks pypi.org, and where that cannot be asked it fails.
audit: $(TESTABLE) ## Look up every locked library in the database of known vulnerabilities
	pip-audit --strict --disable-pip --require-hashes --requirement requirements-dev.txt

format: $(TESTABLE) ## Put code and templates into their format
	ruff check --fix
	ruff format
	find templates -name '*.html' -exec djade --target-version 5.2 {} +

upgrade: $(TESTABLE) ## Lock the newest versions that pyproject.toml allows, and install them
	$(LOCK) --upgrade --output-file requirements.txt pyproject.toml
	$(LOCK) --upgrade --extra dev --constraint requirements.txt \
		--output-file requirements-dev.txt pyproject.toml
	@$(MAKE) --no-print-directory $(TESTABLE)

lock: $(TESTABLE) ## Lock what was added to pyproject.toml, and leave all other versions alone
	$(LOCK) --output-file requirements.txt pyproject.toml
	$(LOCK) --extra dev --constraint requirements.txt \
		--output-file requirements-dev.txt pyproject.toml
	@$(MAKE) --no-print-directory $(TESTABLE)

clean: ## Throw away the virtual environment and the caches; the data stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis test-results

$(RUNNABLE): requirements.txt | $(BIN)/pip
	@echo "Installing what Berth needs into $(VENV) (once; it takes a minute)"
	@$(BIN)/pip install --quiet --require-hashes --requirement requirements.txt
	@touch $@

$(TESTABLE): requirements-dev.txt $(RUNNABLE)
	@echo "Installing what its tests and checks need into $(VENV) (once; it takes a minute)"
	@$(BIN)/pip install --quiet --require-hashes --requirement requirements-dev.txt
	@touch $@

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Berth needs Python 3.11 or later; name one with: make PYTHON=/path/to/python3.12"; \
		exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
		rm -rf $(VENV); \
		echo "$(PYTHON) cannot make a virtual environment; on Debian: apt install python3-venv"; \
		exit 1; }
