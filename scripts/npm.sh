#!/usr/bin/env bash
# Installs the packages that a folder's package.json names, when they are not there yet. Their
# versions are exact there, so there is no lock file that would name a registry.
# usage: scripts/npm.sh FOLDER
set -euo pipefail
cd "$1"
[ node_modules/.package-lock.json -nt package.json ] && exit 0
# The browser comes from the system, not with the packages.
PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm install --no-package-lock --no-audit --no-fund --loglevel=error </dev/null
