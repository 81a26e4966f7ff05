#!/usr/bin/env bash
# Installs the packages that a folder's package-lock.json names, when they are not there yet. The
# lock file holds checksums and no addresses: they come from whatever registry npm is set to.
# usage: scripts/npm.sh FOLDER
set -euo pipefail
cd "$1"
[ node_modules/.package-lock.json -nt package-lock.json ] && exit 0
# The browser comes from the system, not with the packages.
PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --no-audit --no-fund --loglevel=error </dev/null
