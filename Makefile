SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test test-deps lint bench bench-engine mutants coverage stress fuzz
.DELETE_ON_ERROR:

PYTHON ?= python3
ARGS ?=
# Half of their time the tests wait for a server: two for a processor.
WORKERS ?= $(shell echo $$(( 2 * $$(nproc) )))

# What each virtual environment holds: extras of pyproject.toml.
EXTRAS_demo := embedded
EXTRAS_test := embedded,serve,supabase,langchain,openai-agents,test
EXTRAS_lint := $(EXTRAS_test),lint
EXTRAS_bench := embedded,serve,redis,bench

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' \
	    $(MAKEFILE_LIST)
	@echo "Arguments for the program behind a target: make test ARGS='-k cleanup'"

demo: .venv/demo/ready ## Play real dialogues on a database of its own, and count what became of them
	.venv/demo/bin/turnkeep demo $(ARGS)

test: test-deps .venv/test/ready ## Run all tests, on PostgreSQL 15 and the embedded server
	TURNKEEP_TEST_COMPLETE=1 .venv/test/bin/pytest -n $(WORKERS) --dist worksteal $(ARGS)

test-deps: ## Install what the tests need from the system; start no service
	@$(PYTHON) -B tests/support/install_deps.py

lint: .venv/lint/ready ## Check style and types, and that every deploy script has its revert and verify
	.venv/lint/bin/ruff check
	.venv/lint/bin/ruff format --check
	.venv/lint/bin/mypy
	.venv/lint/bin/sqlfluff lint --disable-progress-bar deploy revert verify tests/pgtap
	.venv/lint/bin/squawk $$(find deploy verify -name '*.sql')
	@for folder in revert verify; do \
	    diff <(cd deploy && find . -type f | sort) <(cd $$folder && find . -type f | sort) \
	    || { echo "deploy/ and $$folder/ differ"; exit 1; }; \
	done

bench: .venv/bench/ready ## Measure turns, threads, links, clean-ups and pages against plain SQL
	PYTHONPATH=tests .venv/bench/bin/python -m bench $(ARGS)

bench-engine: .venv/bench/ready ## Time the engine beside the real sqitch and one psql session
	PYTHONPATH=tests .venv/bench/bin/python -m bench.engine $(ARGS)

mutants: .venv/test/ready ## Take out each constraint, right, policy and guard; a test has to notice
	PYTHONPATH=tests .venv/test/bin/python -m mutants $(ARGS)

coverage: .venv/test/ready ## Say which statements of the functions the pgTAP tests reach
	PYTHONPATH=tests .venv/test/bin/python -m covered $(ARGS)

stress: .venv/test/ready ## Call everything at random from 8 sessions, then look for what broke
	PYTHONPATH=tests .venv/test/bin/python -m isolation.stress $(ARGS)

fuzz: .venv/test/ready ## Let one owner call everything at random, and look for what is another's
	PYTHONPATH=tests .venv/test/bin/python -m fuzz $(ARGS)

.venv/%/ready: pyproject.toml
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	    echo "Python cannot make virtual environments here. An administrator runs:"; \
	    echo "  sudo apt-get install python3-venv"; exit 1; } >&2
	$(PYTHON) -m venv --clear .venv/$*
	.venv/$*/bin/pip install --quiet --disable-pip-version-check \
	    --editable '.[$(EXTRAS_$*)]'
	@touch $@
