#!/usr/bin/env bash
# The topology of docker-compose.yml as plain processes: PostgreSQL, NATS, two
# nodes behind nginx with the same settings, and Prometheus if it is installed.
#
#   deploy/local.sh                  start; Ctrl-C ends everything that was started
#   ORBIT=bin/orbit deploy/local.sh  with that binary, instead of one built now
#
# On Debian: apt install postgresql nats-server nginx prometheus. A service of
# these that runs already isn't touched: everything here has a port and a folder
# of its own, on loopback, and is gone at the end.
#
# DATABASE_URL and NATS_URL name servers to use instead; NODE_PORTS and
# ADMIN_PORTS, lists as long as each other, say how many nodes and where. The
# folder STATE (default: a temporary one) gets a log and a pid of each process.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin

HTTP_PORT=${HTTP_PORT:-8080}
read -ra NODE_PORTS <<<"${NODE_PORTS:-8091 8092}"
read -ra ADMIN_PORTS <<<"${ADMIN_PORTS:-8081 8082}"
POSTGRES_PORT=${POSTGRES_PORT:-5433}
NATS_PORT=${NATS_PORT:-4223}
PROMETHEUS_PORT=${PROMETHEUS_PORT:-9090}
export ORBIT_ADMIN_TOKENS=${ORBIT_ADMIN_TOKENS:-local:operator:this-machine-alone}

fail() { echo "local.sh: $*" >&2; exit 1; }
need() { command -v "$1" >/dev/null || fail "$1 is not installed"; }
[ ${#NODE_PORTS[@]} = ${#ADMIN_PORTS[@]} ] || fail "NODE_PORTS and ADMIN_PORTS are not of the same length"
need nginx

made_state=
[ -n "${STATE:-}" ] || { STATE=$(mktemp -d "${TMPDIR:-/tmp}/orbit-local-XXXXXX"); made_state=yes; }
mkdir -p "$STATE"
STATE=$(cd "$STATE" && pwd)
chmod 755 "$STATE" # PostgreSQL's user has a folder in it

names=() # of what runs, in the order it was started
as_postgres=()
stop() {
    trap - EXIT INT TERM
    # The last started ends first: nginx, then the nodes, then what they need.
    for ((i = ${#names[@]} - 1; i >= 0; i--)); do
        pid=$(cat "$STATE/${names[i]}.pid")
        kill "$pid" 2>/dev/null || continue # it has ended
        while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
    done
    [ -z "${waiting:-}" ] || kill "$waiting" 2>/dev/null || true
    [ -z "${postgres_data:-}" ] || "${as_postgres[@]}" "$postgres_bin/pg_ctl" -D "$postgres_data" -m fast -w stop >/dev/null 2>&1 || true
    [ -z "${postgres_data:-}" ] || rm -rf "$postgres_data"
    [ -z "$made_state" ] || rm -rf "$STATE"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# run NAME COMMAND…: in the background, and on record. A session of its own, so
# that Ctrl-C reaches this script alone, which ends them in order.
run() {
    local name=$1
    shift
    setsid "$@" >>"$STATE/$name.log" 2>&1 &
    echo $! >"$STATE/$name.pid"
    disown # a node may be killed: no word of it
    names+=("$name")
}

# until_so NAME COMMAND…: waits, as long as the process lives.
until_so() {
    local name=$1
    shift
    for ((try = 0; try < 600; try++)); do
        "$@" >/dev/null 2>&1 && return
        kill -0 "$(cat "$STATE/$name.pid")" 2>/dev/null || break
        sleep 0.1
    done
    tail -n 20 "$STATE/$name.log" >&2
    fail "$name does not start; see above"
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
free() { ! listens "$1" || fail "port $1 is taken"; }

for port in "$HTTP_PORT" "${NODE_PORTS[@]}" "${ADMIN_PORTS[@]}"; do free "$port"; done

if [ -z "${ORBIT:-}" ]; then
    need go
    CGO_ENABLED=0 go build -o bin/orbit ./app/orbit
    ORBIT=bin/orbit
fi
ORBIT=$(realpath "$ORBIT")

if [ -z "${DATABASE_URL:-}" ]; then
    free "$POSTGRES_PORT"
    postgres_bin=$(dirname "$(command -v pg_ctl || ls -d /usr/lib/postgresql/*/bin/pg_ctl 2>/dev/null | sort -V | tail -n 1 || true)")
    [ -x "$postgres_bin/initdb" ] || fail "PostgreSQL is not installed; set DATABASE_URL, or install it"
    postgres_data=$STATE/postgres
    mkdir "$postgres_data"
    if [ "$(id -u)" = 0 ]; then # PostgreSQL refuses to be root
        chown postgres "$postgres_data"
        as_postgres=(runuser -u postgres --)
    else
        as_postgres=(env)
    fi
    (
        cd "$postgres_data"
        "${as_postgres[@]}" "$postgres_bin/initdb" -D "$postgres_data" -U orbit -A trust -E UTF8 --no-sync
        "${as_postgres[@]}" setsid "$postgres_bin/pg_ctl" -D "$postgres_data" -l "$postgres_data/log" -w start \
            -o "-p $POSTGRES_PORT -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=200"
    ) >"$STATE/postgres.log" 2>&1 || { tail -n 20 "$STATE/postgres.log" >&2; fail "PostgreSQL does not start"; }
    export DATABASE_URL="postgres://orbit@127.0.0.1:$POSTGRES_PORT/postgres?sslmode=disable"
fi

if [ -z "${NATS_URL:-}" ]; then
    need nats-server
    free "$NATS_PORT"
    run nats nats-server --addr 127.0.0.1 --port "$NATS_PORT" --user orbit --pass orbit
    until_so nats listens "$NATS_PORT"
    export NATS_URL="nats://orbit:orbit@127.0.0.1:$NATS_PORT"
fi

nodes=
targets=()
for i in "${!NODE_PORTS[@]}"; do
    name=orbit-$((i + 1))
    run "$name" env ORBIT_DEMO=true ORBIT_NODE="$name" ORBIT_ADDR="127.0.0.1:${NODE_PORTS[i]}" \
        ORBIT_ADMIN_ADDR="127.0.0.1:${ADMIN_PORTS[i]}" "$ORBIT" serve
    nodes+="        server 127.0.0.1:${NODE_PORTS[i]} max_fails=0;\\n" # awk reads \n as a new line
    targets+=("\"127.0.0.1:${ADMIN_PORTS[i]}\"")
done
for i in "${!NODE_PORTS[@]}"; do
    until_so "orbit-$((i + 1))" env ORBIT_ADMIN_ADDR="127.0.0.1:${ADMIN_PORTS[i]}" "$ORBIT" health
done

# The settings of the containers, with the addresses of here.
mkdir -p "$STATE/nginx"
awk -v nodes="$nodes" -v port="$HTTP_PORT" -v temp="$STATE/nginx" '
    /^ *server orbit-[0-9]+:8080/ { if (!done++) printf nodes; next }
    /^ *listen 80;/ { sub(/80/, "127.0.0.1:" port) }
    { print }
    /^http \{/ {
        split("client_body proxy fastcgi uwsgi scgi", kinds, " ")
        for (k in kinds) print "    " kinds[k] "_temp_path " temp "/" kinds[k] ";"
    }' deploy/nginx/nginx.conf >"$STATE/nginx/nginx.conf"
grep -q "listen 127.0.0.1:$HTTP_PORT;" "$STATE/nginx/nginx.conf" || fail "deploy/nginx/nginx.conf has no \"listen 80;\""
run nginx nginx -p "$STATE/nginx" -c "$STATE/nginx/nginx.conf" -g "daemon off; pid $STATE/nginx/pid;"
until_so nginx listens "$HTTP_PORT"

if command -v prometheus >/dev/null; then
    free "$PROMETHEUS_PORT"
    mkdir -p "$STATE/prometheus"
    cp deploy/prometheus/alerts.yml "$STATE/prometheus/"
    all=$(IFS=,; echo "${targets[*]}")
    sed "s/targets: \[[^]]*\]/targets: [$all]/" deploy/prometheus/prometheus.yml >"$STATE/prometheus/prometheus.yml"
    run prometheus prometheus --config.file "$STATE/prometheus/prometheus.yml" \
        --storage.tsdb.path "$STATE/prometheus/data" --web.listen-address "127.0.0.1:$PROMETHEUS_PORT"
    until_so prometheus listens "$PROMETHEUS_PORT"
fi

echo "the demo      http://localhost:$HTTP_PORT"
for i in "${!ADMIN_PORTS[@]}"; do
    echo "console of $((i + 1))  http://localhost:${ADMIN_PORTS[i]}   (token: ${ORBIT_ADMIN_TOKENS##*:})"
done
echo "logs, pids    $STATE"
echo "ready; Ctrl-C ends it"
# A signal ends this wait; nothing else does, for a node may be killed and started again.
while :; do
    sleep 3600 &
    waiting=$!
    wait "$waiting"
done
