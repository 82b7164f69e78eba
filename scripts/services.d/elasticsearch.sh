# Elasticsearch 7.17, from its Maven artifacts and the launcher beside this file: no scripts, language analyzers or security.
VERSION=7.17.29
PREFIX=EF_ELASTICSEARCH
DEFAULT_PORT=19200
PROGRAM=java
MARKER=$DIR/home
READY_LIMIT_S=120
STOP_LIMIT_S=30
LIBRARY=$CACHE/elasticsearch-$VERSION
LAUNCHER=$SCRIPTS/services.d/elasticsearch

service_install() {
    need_java
    install_missing "$CACHE/apt.log"
    fetch_jars "$NAME" "$LIBRARY" "org.elasticsearch:elasticsearch:$VERSION" \
        "org.elasticsearch.plugin:transport-netty4-client:$VERSION" "org.elasticsearch.plugin:reindex-client:$VERSION"
    [ "$LIBRARY/classes/EsNode.class" -nt "$LAUNCHER/EsNode.java" ] && return
    with_progress "$NAME: compiling the launcher" "$LIBRARY/javac.log" \
        javac -d "$LIBRARY/classes" -cp "$LIBRARY/lib/*" "$LAUNCHER/EsNode.java"
}

service_prepare() { mkdir -p "$MARKER/config" "$DIR/data"; }

service_command() {
    local heap options extra
    heap=$(setting HEAP 512m)
    read -r -a options <<<"$(setting JAVA_OPTS '')"
    read -r -a extra <<<"$(setting ARGS '')"
    COMMAND=(java -Xms64m "-Xmx$heap" -XX:+UseSerialGC -Djava.net.preferIPv4Stack=true
        "-Dlog4j2.configurationFile=$LAUNCHER/log4j2.properties" "${options[@]}"
        -cp "$LIBRARY/classes:$LIBRARY/lib/*" EsNode "$MARKER" "path.data=$DIR/data" "path.logs=$DIR/home/logs"
        cluster.name=elasticflow "http.port=$PORT" "transport.port=$((PORT + 100))" "${extra[@]}")
}

service_ready() { http_answers "$PORT" /_cluster/health '"timed_out":false'; }

service_address() { echo "http://127.0.0.1:$PORT"; }

service_env() { echo "$PREFIX=http://127.0.0.1:$PORT"; }
