#!/usr/bin/env bash
# The long form of every fault, several seeds each, after 10,000 seeds of each fault in the simulation. Ends
# with what failed and how to try it again.
# usage: scripts/faults.sh [part of a test's name]
set -uo pipefail

log=target/faults.log
mkdir -p target
if [ -z "${1:-}" ]; then
  SIM_SEEDS=${SIM_SEEDS:-10000} "${CARGO:-cargo}" test --locked --profile faults --features failpoints --test simulation || exit
fi
FAULTS=long "${CARGO:-cargo}" test --locked --profile faults --features failpoints --no-fail-fast --test it -- \
  "faults::${1:-}" --test-threads=1 --nocapture 2>&1 | tee "$log"
status=${PIPESTATUS[0]}

if grep -q 'again: ' "$log"; then
  echo
  echo "What failed, and how to try it again:"
  grep -o 'again: .*' "$log"
fi
exit "$status"
