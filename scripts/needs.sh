#!/usr/bin/env bash
# Installs what the tests start by themselves, through the system's package manager, when it is missing.
# usage: scripts/needs.sh [postgres] [redis] [python] [node] [chromium]
set -euo pipefail

has_postgres() { command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }
has_redis()    { command -v redis-server >/dev/null; }
has_python()   { command -v python3 >/dev/null; }
has_node()     { command -v node >/dev/null && command -v npm >/dev/null; }
has_chromium() { command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null; }

# The packages of one need, as each package manager calls them.
packages() {
  case "$1-$2" in
    apt-get-postgres) echo postgresql ;;
    apt-get-redis) echo redis-server ;;
    apt-get-python) echo python3 ;;
    apt-get-node) echo nodejs npm ;;
    apt-get-chromium) echo chromium ;;
    dnf-postgres) echo postgresql-server ;;
    dnf-redis) echo redis ;;
    dnf-python) echo python3 ;;
    dnf-node) echo nodejs npm ;;
    dnf-chromium) echo chromium ;;
    apk-postgres) echo postgresql ;;
    apk-redis) echo redis ;;
    apk-python) echo python3 ;;
    apk-node) echo nodejs npm ;;
    apk-chromium) echo chromium ;;
    pacman-postgres) echo postgresql ;;
    pacman-redis) echo redis ;;
    pacman-python) echo python ;;
    pacman-node) echo nodejs npm ;;
    pacman-chromium) echo chromium ;;
  esac
}

give_up() {
  echo "needs: $1" >&2
  echo "needs: the tests start these programs themselves; install them by hand: ${missing[*]}" >&2
  exit 1
}

missing=()
for need in "$@"; do "has_$need" || missing+=("$need"); done
[ ${#missing[@]} -gt 0 ] || exit 0

manager=
for candidate in apt-get dnf apk pacman; do
  if command -v "$candidate" >/dev/null; then manager=$candidate; break; fi
done
[ -n "$manager" ] || give_up "no package manager known to this script was found"

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || give_up "not root, and there is no sudo"
  as_root=(sudo)
fi

wanted=()
for need in "${missing[@]}"; do read -ra names <<<"$(packages "$manager" "$need")"; wanted+=("${names[@]}"); done
echo "needs: installing ${wanted[*]} with $manager"

install() {
  case $manager in
    apt-get)
      "${as_root[@]}" apt-get update -q
      "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${wanted[@]}" ;;
    dnf) "${as_root[@]}" dnf install -q -y "${wanted[@]}" ;;
    apk) "${as_root[@]}" apk add --no-cache "${wanted[@]}" ;;
    pacman) "${as_root[@]}" pacman -Sy --noconfirm --needed "${wanted[@]}" ;;
  esac
}
install </dev/null || give_up "$manager could not install ${wanted[*]}"

for need in "${missing[@]}"; do "has_$need" || give_up "$manager says it installed $need, but it is not found"; done
