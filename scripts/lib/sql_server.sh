# What MySQL and MariaDB have in common: settings, accounts, first initialisation. The service defines write_config (which
# calls sql_server_config), init_data FOLDER, extra_privileges.

SQL_USER=elasticflow
SQL_PASSWORD=elasticflow

# Row-based binary log with full images and column names. Syncing is off: these servers test the product's durability, not
# their own; a kill -9 of the server loses nothing, a power cut may.
sql_server_config() {
    echo '[mysqld]'
    # Both refuse to run as root unless told to.
    if [ "$(id -u)" -eq 0 ]; then echo 'user=root'; fi
    cat <<C
datadir=$DIR/data
socket=mysql.sock
pid-file=$DIR/server.pid
port=$PORT
bind-address=127.0.0.1
skip-name-resolve
default-time-zone=+00:00
secure-file-priv=
local-infile=ON
max-allowed-packet=64M
server-id=$1
log-bin=binlog
binlog-format=ROW
binlog-row-image=FULL
binlog-row-metadata=FULL
sync-binlog=0
innodb-flush-log-at-trx-commit=0
innodb-doublewrite=OFF
innodb-buffer-pool-size=256M
C
}

# Runs as root at every start, so every statement may be repeated and none reaches the binary log. One statement a line.
write_init_sql() {
    cat <<S
SET sql_log_bin = 0;
ALTER USER root@localhost IDENTIFIED BY '$SQL_PASSWORD';
CREATE USER IF NOT EXISTS root@'127.0.0.1' IDENTIFIED BY '$SQL_PASSWORD';
ALTER USER root@'127.0.0.1' IDENTIFIED BY '$SQL_PASSWORD';
GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;
CREATE USER IF NOT EXISTS $SQL_USER@'%' IDENTIFIED BY '$SQL_PASSWORD';
GRANT SELECT, RELOAD, SHOW DATABASES, REPLICATION SLAVE, REPLICATION CLIENT, LOCK TABLES, $(extra_privileges) ON *.* TO $SQL_USER@'%';
GRANT INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, CREATE VIEW, SHOW VIEW, TRIGGER, EXECUTE, CREATE ROUTINE, ALTER ROUTINE, CREATE TEMPORARY TABLES, PROCESS, FILE ON *.* TO $SQL_USER@'%';
S
}

service_prepare() {
    write_config >"$DIR/my.cnf"
    write_init_sql >"$DIR/init.sql"
    # Left behind by a kill -9. The server refuses to start while the pid in it exists, even as a zombie or as a new program.
    rm -f "$DIR/data/mysql.sock" "$DIR/data/mysql.sock.lock"
    [ -d "$DIR/data" ] && return
    # Made beside its place and moved, so that an interrupted initialisation is never taken for a finished one.
    rm -rf "$DIR/data.part"
    with_progress "$NAME: initialising the data folder" "$DIR/init.log" init_data "$DIR/data.part" &&
        mv "$DIR/data.part" "$DIR/data"
}

service_ready() { sql_answers "$PORT" "$SQL_USER" "$SQL_PASSWORD"; }

service_address() { echo "127.0.0.1:$PORT, user $SQL_USER, password $SQL_PASSWORD"; }

service_env() {
    echo "$PREFIX=127.0.0.1:$PORT"
    echo "${PREFIX}_USER=$SQL_USER"
    echo "${PREFIX}_PASSWORD=$SQL_PASSWORD"
    echo "${PREFIX}_ROOT_USER=root"
    echo "${PREFIX}_ROOT_PASSWORD=$SQL_PASSWORD"
}
