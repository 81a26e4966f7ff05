#!/usr/bin/env bash
# Installs the packages that a folder's package-lock.json names, when they are not there yet.
# usage: scripts/npm.sh FOLDER
set -euo pipefail
cd "$1"
[ -f package-lock.json ] || { echo "npm: no package-lock.json in $1" >&2; exit 1; }
[ node_modules/.package-lock.json -nt package-lock.json ] && exit 0
# The browser comes from the system, not with the packages.
PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --no-audit --no-fund --loglevel=error </dev/null
