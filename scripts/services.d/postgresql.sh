# PostgreSQL, Debian's own version. It refuses to run as root, so root gives it to the account of the package.
PREFIX=EF_POSTGRESQL
DEFAULT_PORT=15432
PROGRAM=postgres
MARKER=--config-file=$DIR/data/postgresql.conf
READY_LIMIT_S=60
STOP_LIMIT_S=30
# A fast shutdown: TERM would wait for every client to leave.
STOP_SIGNAL=INT
PG_USER=elasticflow
PG_PASSWORD=elasticflow

# The folder of the newest installed version's programs, if there is one.
programs() {
    local found
    found=$(ls -d /usr/lib/postgresql/*/bin/postgres 2>/dev/null | sort -V | tail -n 1)
    [ -n "$found" ] && dirname "$found"
}

# The package makes and starts a cluster of its own on 5432 unless its settings say no, so they come first.
service_install() {
    local settings=/etc/postgresql-common/createcluster.conf
    programs >/dev/null && command -v psql >/dev/null && return
    [ -e "$settings" ] || MISSING+=(postgresql-common)
    install_missing "$CACHE/apt.log"
    if [ -e "$settings" ]; then
        as_root sed -i 's/^#\? *create_main_cluster.*/create_main_cluster = false/' "$settings"
    fi
    MISSING+=(postgresql)
    install_missing "$CACHE/apt.log"
}

# Runs a program as the account that may run the server; keeps the process.
as_server() {
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --reuid postgres --regid postgres --init-groups -- "$@"
    else
        "$@"
    fi
}

write_settings() {
    cat <<C
listen_addresses = '127.0.0.1'
port = $PORT
unix_socket_directories = '$DIR/data'
wal_level = logical
max_replication_slots = 16
max_wal_senders = 16
max_prepared_transactions = 64
max_slot_wal_keep_size = 1GB
fsync = off
full_page_writes = off
timezone = 'UTC'
log_timezone = 'UTC'
max_connections = 200
C
}

init_data() {
    local bin=$1 part=$2
    rm -rf "$part"
    mkdir -p "$part"
    if [ "$(id -u)" -eq 0 ]; then chown postgres:postgres "$part"; fi
    echo "$PG_PASSWORD" >"$DIR/password"
    chmod 644 "$DIR/password"
    (cd / && as_server "$bin/initdb" -D "$part" -U "$PG_USER" --auth-local=trust --auth-host=scram-sha-256 \
        "--pwfile=$DIR/password" -E UTF8 --locale=C.UTF-8 -N)
}

service_prepare() {
    local bin
    bin=$(programs)
    chmod 755 "$DIR"
    # Left behind by a kill -9.
    rm -f "$DIR/data/postmaster.pid" "$DIR/data/.s.PGSQL."*
    if [ ! -d "$DIR/data" ]; then
        # Made beside its place and moved, so that an interrupted initialisation is never taken for a finished one.
        with_progress "postgresql: initialising the data folder" "$DIR/init.log" init_data "$bin" "$DIR/data.part" || return 1
        mv "$DIR/data.part" "$DIR/data"
    fi
    write_settings >"$DIR/data/postgresql.auto.conf.part"
    as_root chown "$(stat -c %u:%g "$DIR/data")" "$DIR/data/postgresql.auto.conf.part"
    mv "$DIR/data/postgresql.auto.conf.part" "$DIR/data/postgresql.conf"
}

service_command() {
    local extra run=()
    read -r -a extra <<<"$(setting ARGS '')"
    if [ "$(id -u)" -eq 0 ]; then run=(setpriv --reuid postgres --regid postgres --init-groups --); fi
    COMMAND=("${run[@]}" "$(programs)/postgres" -D "$DIR/data" "$MARKER" "${extra[@]}")
}

# A login and a statement over TCP; uses `psql`.
service_ready() {
    [ "$(PGPASSWORD=$PG_PASSWORD PGCONNECT_TIMEOUT=2 timeout 5 psql -X -h 127.0.0.1 -p "$PORT" -U "$PG_USER" -d postgres \
        -At -c 'SELECT 42' 2>/dev/null)" = 42 ]
}

service_address() { echo "127.0.0.1:$PORT, user $PG_USER, password $PG_PASSWORD"; }

service_env() {
    echo "$PREFIX=127.0.0.1:$PORT"
    echo "${PREFIX}_USER=$PG_USER"
    echo "${PREFIX}_PASSWORD=$PG_PASSWORD"
}
