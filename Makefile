# Two commands matter: `make demo` and `make test`. Both install what they need on a fresh machine.
SHELL := /bin/bash
# the first interpreter that really runs: a version manager's shim may exist for versions it has not switched on
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help demo test check contracts mutants coverage slither prove gas bench clean preflight requirements

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

preflight:
	@test -n "$(PYTHON)" && "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "ATH Ledger needs Python 3.11 or newer (or set PYTHON=/path/to/python3)."; exit 1; }
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo "This Python has no venv module; on Debian: apt-get install python3-venv."; exit 1; }
	@command -v node >/dev/null && node -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)' \
	  || { echo "ATH Ledger needs Node.js 20 or newer: it carries the local chain (anvil) and the Solidity compiler."; exit 1; }
	@command -v npm >/dev/null || { echo "ATH Ledger needs npm, which comes with Node.js."; exit 1; }

$(VENV)/run.stamp: requirements/run.txt requirements/build.txt pyproject.toml | preflight
	@echo "Installing the ledger and its pinned packages into $(VENV) …"
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	@$(PIP) install --require-hashes -r requirements/run.txt
	@$(PIP) install --require-hashes -r requirements/build.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(VENV)/run.stamp
	@echo "Installing the test tools …"
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

contracts/node_modules/.stamp: contracts/package.json contracts/package-lock.json | preflight
	@echo "Installing the local chain and the Solidity tools into contracts/node_modules …"
	@# not `npm ci`: it refuses a lock without the builds for other platforms that Foundry names and never published;
	@# this installs what the lock pins, checks the same integrity hashes, and leaves the lock alone
	@cd contracts && npm install --no-save --no-audit --no-fund --loglevel=error
	@touch $@

demo: $(VENV)/run.stamp contracts/node_modules/.stamp ## Three days of a real fleet: attested, scored, booked, settled, claimed
	@$(BIN)/ath-ledger demo

test: check contracts ## Everything: style, types, contracts, and the tests against real parts
	@$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(VENV)/dev.stamp contracts/node_modules/.stamp ## Style, types, import directions, artefacts
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/python -m mypy
	@$(BIN)/lint-imports
	@node contracts/build-artefacts.mjs --check
	@$(BIN)/python scripts/encoding_vectors.py --check
	@$(BIN)/python scripts/client_routes.py --check
	@$(BIN)/python scripts/error_reference.py --check

contracts: contracts/node_modules/.stamp ## Format check and forge tests of the Solidity sources
	@cd contracts && bin/forge fmt --check && bin/forge test

mutants: $(VENV)/run.stamp contracts/node_modules/.stamp ## Plant faults in the contracts; the forge tests must notice each
	@$(BIN)/python scripts/mutants.py

coverage: contracts/node_modules/.stamp ## Lines and branches of the contracts that forge tests reach: all of them
	@cd contracts && bin/forge coverage --report summary --no-match-contract 'GasTest|Symbolic' | grep -E '^\| (File|src/)' \
	  | tee /dev/stderr | awk '/src\// { files++; whole += gsub(/100.00%/, "") } END { exit !(files && whole == 4 * files) }'

.venv-slither/.stamp: contracts/requirements-slither.txt | preflight
	@"$(PYTHON)" -m venv .venv-slither && .venv-slither/bin/pip install --quiet -r $< && touch $@

slither: .venv-slither/.stamp $(VENV)/run.stamp contracts/node_modules/.stamp ## Slither over the contracts; every exception explained
	@$(BIN)/python scripts/slither_findings.py .venv-slither/bin/slither

.venv-halmos/.stamp: contracts/requirements-halmos.txt | preflight
	@"$(PYTHON)" -m venv .venv-halmos && .venv-halmos/bin/pip install --quiet -r $< && touch $@

prove: .venv-halmos/.stamp contracts/node_modules/.stamp ## Prove what claims pay for every value, by halmos (minutes)
	@cd contracts && bin/forge build --ast && PATH="$$PWD/bin:$$PATH" ../.venv-halmos/bin/halmos --contract SymbolicTest

gas: $(VENV)/run.stamp contracts/node_modules/.stamp ## Gas on Anvil in a tree of 435,000; fails when it rises by more than 1 %
	@$(BIN)/python bench/bench_gas.py --check

bench: $(VENV)/dev.stamp contracts/node_modules/.stamp ## The benchmarks with their peers
	@for bench in bench/bench_*.py; do echo "== $$bench"; $(BIN)/python $$bench || exit 1; done

requirements: ## Pin the requirements again (needs uv)
	@for name in run dev build; do \
	  uv pip compile --quiet --python-version 3.11 --universal --generate-hashes \
	    --no-emit-index-url --no-emit-find-links requirements/$$name.in -o requirements/$$name.txt; done

clean: ## Remove what was installed and built
	rm -rf $(VENV) .venv-slither .venv-halmos contracts/node_modules contracts/out contracts/cache dist build
