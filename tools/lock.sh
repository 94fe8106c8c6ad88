#!/bin/sh
# Writes the hash-pinned lists of requirements/ anew. They hold names, versions and hashes, no address to download from:
# where packages come from is the machine's own setting.
set -eu
cd "$(dirname "$0")/.."
compile() {
    list=$1
    shift
    .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
        --no-emit-index-url --no-emit-find-links "$@" --output-file "requirements/$list.txt" >/dev/null
}
compile base pyproject.toml
compile run pyproject.toml requirements/build.in --extra local --constraint requirements/base.txt
compile test pyproject.toml requirements/build.in --extra local --group pyproject.toml:test --constraint requirements/run.txt
# Apart: pyspark comes as source only, and is built with the setuptools that the test list pins.
compile spark pyproject.toml --extra spark --constraint requirements/test.txt
compile bench requirements/bench.in
if grep --line-number --extended-regexp '://|--(extra-)?index|--find-links|^file:' requirements/*.txt; then
    echo 'a list names an address' >&2
    exit 1
fi
