#!/bin/sh
# Makes .venv from a hash-pinned list (run or test) and puts the project into it; does nothing when nothing changed.
# The list bench goes into an environment of its own, .venv-bench: programs to be measured against, and nothing of ours.
set -eu
cd "$(dirname "$0")/.."
list=$1
python=${PYTHON:-python3}

venv=.venv program=ipis
if [ "$list" = bench ]; then venv=.venv-bench program=pb; fi

lists() { [ "$1" = test ] && echo requirements/test.txt requirements/spark.txt || echo "requirements/$1.txt"; }
# shellcheck disable=SC2046 – one word a list
stamp() { cat $(lists "$1") pyproject.toml | sha256sum | cut -c1-64; }
current() { [ -x "$venv/bin/$program" ] && [ "$(cat "$venv/set-up-$1" 2>/dev/null)" = "$(stamp "$1")" ]; }

# The test list holds all of the run list.
if current "$list" || { [ "$list" = run ] && current test; }; then exit 0; fi

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "$python is missing or older than 3.11; run: make PYTHON=<a newer one> …" >&2
    exit 1
fi
if [ ! -x "$venv/bin/python" ] && ! "$python" -m venv "$venv"; then
    rm -rf "$venv"
    echo 'hint: on Debian: apt-get install python3-venv' >&2
    exit 1
fi
echo "setting up $venv from requirements/$list.txt"
pip="$venv/bin/python -m pip --disable-pip-version-check --no-input"
$pip install --quiet --require-hashes --only-binary :all: --requirement "requirements/$list.txt"
if [ "$list" = test ]; then
    $pip install --quiet --require-hashes --no-deps --no-build-isolation --only-binary :all: --no-binary pyspark \
        --requirement requirements/spark.txt
fi
if [ "$list" != bench ]; then $pip install --quiet --no-deps --no-build-isolation --editable .; fi
stamp "$list" >"$venv/set-up-$list"
