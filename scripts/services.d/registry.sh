# Apicurio Registry 2.6 with the Confluent Schema Registry API under /apis/ccompat/v7, from Maven Central. It keeps its
# schemas in memory: a restart begins empty.
VERSION=2.6.13.Final
PREFIX=EF_REGISTRY
DEFAULT_PORT=18081
PROGRAM=java
MARKER=$DIR/home
READY_LIMIT_S=120
STOP_LIMIT_S=30
LIBRARY=$CACHE/apicurio-registry-$VERSION
ARCHIVE=apicurio-registry-app-$VERSION-all.tar.gz

service_install() {
    [ -d "$LIBRARY" ] && return
    need_java
    install_missing "$CACHE/apt.log"
    local part=$LIBRARY.part
    rm -rf "$part"
    fetch_artifact "$NAME" "$part" "io.apicurio:apicurio-registry-app:$VERSION:tar.gz:all"
    with_progress "$NAME: unpacking" "$part/tar.log" tar -xzf "$part/$ARCHIVE" -C "$part" ||
        die "$NAME: $part/$ARCHIVE cannot be unpacked (full output: $part/tar.log); remove the folder and run again"
    rm -f "$part/$ARCHIVE"
    mv "$part" "$LIBRARY"
}

service_prepare() { mkdir -p "$MARKER"; }

service_command() {
    local options
    read -r -a options <<<"$(setting JAVA_OPTS '')"
    COMMAND=(java "-Xmx$(setting HEAP 128m)" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.net.preferIPv4Stack=true
        "-Djava.io.tmpdir=$MARKER" -Dquarkus.http.host=127.0.0.1 "-Dquarkus.http.port=$PORT" "${options[@]}"
        -jar "$LIBRARY/apicurio-registry-app-$VERSION-runner.jar" "$MARKER")
}

service_ready() { http_answers "$PORT" /apis/ccompat/v7/subjects '['; }

service_address() { echo "http://127.0.0.1:$PORT/apis/ccompat/v7"; }

service_env() { echo "$PREFIX=http://127.0.0.1:$PORT/apis/ccompat/v7"; }
