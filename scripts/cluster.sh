#!/usr/bin/env bash
# Three nodes, Redis and Postgres on this machine, from what is installed. Ctrl-C ends all of them.
# usage: scripts/cluster.sh     (make cluster builds the program first)
#
# NODES=3             how many nodes
# PORT=8081           the first node's port; those that are taken are passed over
# CLUSTER_DIR=FOLDER  where everything is kept; otherwise a temporary folder, gone at the end
# MADANG=FILE         the program; otherwise target/release/madang
# Every other MADANG_… variable is handed to the nodes.
set -euo pipefail

madang=$(realpath "${MADANG:-target/release/madang}")
[ -x "$madang" ] || { echo "cluster: $madang is not there; make cluster builds it" >&2; exit 1; }
folder=${CLUSTER_DIR:-$(mktemp -d "${TMPDIR:-/tmp}/madang-cluster-XXXXXX")}
mkdir -p "$folder/postgres" "$folder/redis"
folder=$(realpath "$folder")
started=()

# Whoever needs not be root is somebody else: Postgres refuses to run as root.
as_servant=()
if [ "$(id -u)" -eq 0 ]; then
  servant=nobody
  getent passwd postgres >/dev/null && servant=postgres
  chmod 755 "$folder"
  chown "$servant" "$folder/postgres"
  as_servant=(setpriv --reuid="$servant" --regid="$(id -g "$servant")" --clear-groups)
fi

# Debian keeps Postgres' programs in a folder for each version.
postgres_bin() {
  local newest
  newest=$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | sort -V | tail -1 || true)
  dirname "${newest:-$(command -v initdb)}"
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# The first port from here on that nobody listens at.
free_port() {
  found=$1
  while answers "$found"; do found=$((found + 1)); done
}

# Writes NAME.sh, which runs the rest in the foreground, and starts it. The same file starts it again.
launch() {
  local name=$1
  shift
  {
    echo '#!/bin/sh'
    echo "cd '$folder'"
    echo "echo \$\$ >'$folder/$name.pid'"
    printf 'exec'
    printf " '%s'" "$@"
    echo
  } >"$folder/$name.sh"
  chmod 700 "$folder/$name.sh"
  started=("$name" "${started[@]}")
  set -m # a process group of its own: Ctrl-C is for us, and we end things in order
  "$folder/$name.sh" >>"$folder/$name.log" 2>&1 &
  set +m
  echo $! >"$folder/$name.pid"
  disown
}

is_running() { kill -0 "$(cat "$folder/$1.pid" 2>/dev/null)" 2>/dev/null; }

# Waits until the rest of the line succeeds.
until_true() {
  local name=$1
  shift
  for _ in $(seq 300); do
    "$@" >/dev/null 2>&1 && return
    is_running "$name" || break
    sleep 0.1
  done
  echo "cluster: $name does not start; its last words:" >&2
  tail -n 20 "$folder/$name.log" >&2
  exit 1
}

# Asks what still runs to end (also when it was started again by hand), and waits for it.
end() {
  local signal=$1 name
  shift
  for name in "$@"; do
    is_running "$name" && kill -s "$signal" "$(cat "$folder/$name.pid")" 2>/dev/null || true
  done
  for name in "$@"; do
    for _ in $(seq 600); do is_running "$name" || break; sleep 0.1; done
    is_running "$name" && kill -s KILL "$(cat "$folder/$name.pid")" || true
  done
}

stop_all() {
  trap - EXIT INT TERM
  echo
  echo "cluster: stopping"
  local nodes=() name
  for name in "${started[@]}"; do case $name in n[0-9]*) nodes+=("$name") ;; esac; done
  end TERM "${nodes[@]}"
  end INT postgres
  end TERM redis
  if [ -z "${CLUSTER_DIR:-}" ]; then rm -rf "$folder"; fi
}
trap stop_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# -- Redis: every append is on disk within a second, and nothing is ever thrown away --------------------
free_port 6390; redis_port=$found
export REDIS_URL="redis://127.0.0.1:$redis_port"
launch redis redis-server --bind 127.0.0.1 --port "$redis_port" --dir "$folder/redis" --save '' \
  --appendonly yes --appendfsync everysec --maxmemory 256mb --maxmemory-policy noeviction
until_true redis redis-cli -p "$redis_port" ping

# -- Postgres -------------------------------------------------------------------------------------------
bin=$(postgres_bin)
free_port 5440; postgres_port=$found
export DATABASE_URL="postgres://madang@127.0.0.1:$postgres_port/postgres"
data=$folder/postgres/data
if [ ! -d "$data" ]; then
  (cd "$folder/postgres" && "${as_servant[@]}" "$bin/initdb" --auth=trust --username=madang \
    --encoding=UTF8 --locale=C --pgdata "$data") >"$folder/postgres.log" 2>&1 ||
    { cat "$folder/postgres.log" >&2; exit 1; }
fi
launch postgres "${as_servant[@]}" "$bin/postgres" -D "$data" -k "$folder/postgres" -p "$postgres_port" \
  -c listen_addresses=127.0.0.1
until_true postgres "$bin/pg_isready" -h 127.0.0.1 -p "$postgres_port"

# -- the nodes ------------------------------------------------------------------------------------------
secret=$folder/secret
[ -s "$secret" ] || (umask 077 && head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$secret")
MADANG_JWT_SECRET=$(cat "$secret")
export MADANG_JWT_SECRET
export MADANG_DRAIN_SECONDS=${MADANG_DRAIN_SECONDS:-10}
(umask 077 && cat >"$folder/env" <<END
export REDIS_URL='$REDIS_URL' DATABASE_URL='$DATABASE_URL' MADANG_JWT_SECRET='$MADANG_JWT_SECRET'
END
)
settings=()
while IFS= read -r name; do settings+=("$name=${!name}"); done < <(
  compgen -e | grep -E '^(MADANG_|RUST_LOG$|DATABASE_URL$|REDIS_URL$)'
)
addresses=()
port=${PORT:-8081}
for number in $(seq "${NODES:-3}"); do
  free_port "$port"
  port=$((found + 1))
  launch "n$number" env "${settings[@]}" MADANG_NODE_ID="n$number" MADANG_LISTEN="127.0.0.1:$found" \
    "$madang" serve
  until_true "n$number" answers "$found"
  addresses+=("http://127.0.0.1:$found")
done

cat <<END

A cluster of ${#addresses[@]} nodes. What is said on one is heard on all:

$(for i in "${!addresses[@]}"; do echo "  n$((i + 1))        ${addresses[i]}"; done)
  redis     $REDIS_URL
  postgres  $DATABASE_URL

Logs are in $folder, and so is what runs each of them:

  . $folder/env                the environment of the nodes, for madang's commands
  $madang nodes
  $madang drain n2
  kill -9 \$(cat $folder/n2.pid)
  $folder/n2.sh                starts it again

Ctrl-C ends all of it$([ -n "${CLUSTER_DIR:-}" ] || echo ", and removes it").
END

# Whoever comes and goes is told, until Ctrl-C.
declare -A gone
while sleep 1; do
  for name in "${started[@]}"; do
    if is_running "$name"; then
      [ -z "${gone[$name]:-}" ] || echo "cluster: $name runs again"
      unset "gone[$name]"
    elif [ -z "${gone[$name]:-}" ]; then
      echo "cluster: $name has ended; $folder/$name.sh starts it again"
      gone[$name]=yes
    fi
  done
done
