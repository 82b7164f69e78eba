# MariaDB, Debian's own version. The core package has no service file, so nothing starts by itself.
PREFIX=EF_MARIADB
DEFAULT_PORT=13307
PROGRAM=mariadbd
MARKER=--defaults-file=$DIR/my.cnf
READY_LIMIT_S=120
STOP_LIMIT_S=60
source "$SCRIPTS/lib/sql_server.sh"

service_install() {
    local missing=()
    command -v mariadb >/dev/null || missing+=(mariadb-client-core)
    [ -x /usr/sbin/mariadbd ] || missing+=(mariadb-server-core)
    if [ "${#missing[@]}" -gt 0 ]; then install_packages "$CACHE/apt.log" "${missing[@]}"; fi
}

write_config() {
    sql_server_config 102
    cat <<C
gtid-strict-mode=ON
innodb-log-file-size=256M
C
}

init_data() {
    mariadb-install-db "--defaults-file=$DIR/my.cnf" "--datadir=$1" --auth-root-authentication-method=normal --skip-test-db
}

service_command() {
    local extra
    read -r -a extra <<<"$(setting ARGS '')"
    COMMAND=(/usr/sbin/mariadbd "$MARKER" "--init-file=$DIR/init.sql" "${extra[@]}")
}

extra_privileges() { echo BINLOG MONITOR; }
