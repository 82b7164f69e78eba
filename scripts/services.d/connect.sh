# Kafka Connect 4.3 with its file connectors, and Debezium's MySQL connector as a plug-in of it: a program that tests start
# and end themselves, on whichever broker, group and topics they need. `scripts/services install connect` fetches it.
CONNECT_VERSION=4.3.1
DEBEZIUM_VERSION=3.6.1.Final
PREFIX=EF_CONNECT
DEFAULT_PORT=0
IS_PROGRAM=yes
PROGRAM=java
MARKER=$DIR/none
READY_LIMIT_S=1
STOP_LIMIT_S=1
LIBRARY=$CACHE/connect-$CONNECT_VERSION
DEBEZIUM=$CACHE/debezium-mysql-$DEBEZIUM_VERSION

service_install() {
    need_java
    install_missing "$CACHE/apt.log"
    fetch_jars "$NAME" "$LIBRARY" "org.apache.kafka:connect-runtime:$CONNECT_VERSION" \
        "org.apache.kafka:connect-file:$CONNECT_VERSION" org.slf4j:slf4j-simple:1.7.36
    [ -d "$DEBEZIUM" ] && return
    local part=$DEBEZIUM.part
    rm -rf "$part"
    fetch_artifact "$NAME" "$part" "io.debezium:debezium-connector-mysql:$DEBEZIUM_VERSION:tar.gz:plugin"
    tar -xzf "$part/debezium-connector-mysql-$DEBEZIUM_VERSION-plugin.tar.gz" -C "$part" ||
        die "$NAME: the archive in $part cannot be unpacked; remove the folder and run again"
    rm -f "$part"/*.tar.gz
    mv "$part" "$DEBEZIUM"
}

service_prepare() { die "$NAME is a program that tests start themselves: scripts/services install $NAME"; }

service_command() { COMMAND=(false); }

service_ready() { false; }

service_address() { echo "$LIBRARY"; }

# Nothing for what is not installed: tests say what they skip.
service_env() {
    if [ -d "$LIBRARY" ]; then echo "EF_CONNECT_LIB=$LIBRARY/lib"; fi
    if [ -d "$DEBEZIUM" ]; then echo "EF_CONNECT_PLUGINS=$DEBEZIUM"; fi
}
