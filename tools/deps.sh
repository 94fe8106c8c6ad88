#!/bin/sh
# Installs the Debian packages of requirements/debian.txt that are missing, when root or sudo permits; else says the command.
set -eu
cd "$(dirname "$0")/.."
missing=''
while read -r package command _; do
    case $package in '' | '#'*) continue ;; esac
    command -v "$command" >/dev/null 2>&1 || missing="$missing $package"
done <requirements/debian.txt
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=''
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    as_root='sudo -n'
else
    echo "missing Debian packages; run: sudo apt-get update && sudo apt-get install -y$missing" >&2
    exit 1
fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "this is no Debian; install what gives these packages here:$missing" >&2
    exit 1
fi
echo "installing Debian packages:$missing"
# A fresh machine has no package lists yet; a stale mirror is no reason to stop when the lists at hand suffice.
$as_root apt-get update -q || echo 'apt-get update failed; trying with the lists at hand' >&2
# shellcheck disable=SC2086 – one word a package
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -q -y --no-install-recommends $missing </dev/null
