# One verb for each thing a newcomer does. Set-up comes by itself and is not repeated when nothing changed.
.DEFAULT_GOAL := help
.PHONY: help demo up test test-long check fix bench deps generate lock set-up-run set-up-test set-up-bench
BIN := .venv/bin
export PYTHONDONTWRITEBYTECODE := 1

help:            ## list the verbs
	@sed -n 's/^\([a-z%-]*\):.*## \(.*\)/make \1@\2/p' Makefile | column -t -s @

demo: set-up-run ## run one season for Hamar through all four parties and back (DEMO="--kommune 0301" for more)
	$(BIN)/ipis demo $(DEMO)

up: set-up-run   ## start all parties and keep them running until interrupted (UP="--year 2016")
	$(BIN)/ipis up $(UP)

test: deps set-up-test ## all tests, each Django room in a process of its own, with coverage
	$(BIN)/python tools/run_tests.py

test-long: deps set-up-test ## the tests that take minutes
	$(BIN)/python tools/run_tests.py --long

test-%: deps set-up-test ## one kind or room: test-kernel, test-tpf, test-journey, test-architecture …
	$(BIN)/python tools/run_tests.py --only $*

check: set-up-test ## lint, types, walls, generated files and migrations; changes nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/generate.py --check
	$(BIN)/python tools/migrations.py --check

fix: set-up-test ## mend what a machine can: lint, format, generated files
	$(BIN)/ruff check --fix . || true
	$(BIN)/ruff format .
	$(BIN)/python tools/generate.py

generate: set-up-test ## write the generated files anew
	$(BIN)/python tools/generate.py

bench: deps set-up-test set-up-bench ## measure against peers, and a whole nation, into docs/generated/bench.md
	$(BIN)/python -m bench

deps:            ## install the Debian packages of requirements/debian.txt (root or sudo)
	@tools/deps.sh

lock: set-up-test ## write the hash-pinned lists of requirements/ anew
	tools/lock.sh

set-up-run:
	@tools/setup.sh run

set-up-test:
	@tools/setup.sh test

set-up-bench:
	@tools/setup.sh bench
