# MariaDB, Debian's own version. The core package has no service file, so nothing starts by itself.
PREFIX=EF_MARIADB
DEFAULT_PORT=13307
PROGRAM=mariadbd
SERVER=/usr/sbin/mariadbd
MARKER=--defaults-file=$DIR/my.cnf
READY_LIMIT_S=120
STOP_LIMIT_S=60
source "$SCRIPTS/lib/sql_server.sh"

service_install() {
    need_program mariadb mariadb-client-core
    [ -x "$SERVER" ] || MISSING+=(mariadb-server-core)
    install_missing "$CACHE/apt.log"
}

write_config() {
    sql_server_config 102
    cat <<C
gtid-strict-mode=ON
innodb-log-file-size=256M
C
}

# The initialisation program splits paths at spaces, so it gets none that the user chose: neither the settings file's nor a full one.
init_data() (
    local options=(--auth-root-authentication-method=normal --skip-test-db)
    if [ "$(id -u)" -eq 0 ]; then options+=(--user=root); fi
    cd "$(dirname "$1")" && mariadb-install-db --no-defaults "--datadir=./$(basename "$1")" "${options[@]}"
)

service_command() {
    local extra
    read -r -a extra <<<"$(setting ARGS '')"
    COMMAND=("$SERVER" "$MARKER" "--init-file=$DIR/init.sql" "${extra[@]}")
}

extra_privileges() { echo BINLOG MONITOR; }
