# One KRaft broker that is its own controller. The service names KAFKA_VERSION, PREFIX and DEFAULT_PORT.

PROGRAM=java
MARKER=$DIR/server.properties
READY_LIMIT_S=120
STOP_LIMIT_S=30
LIBRARY=$CACHE/kafka-$KAFKA_VERSION

service_install() {
    need_java
    install_missing "$CACHE/apt.log"
    fetch_jars "$NAME" "$LIBRARY" "org.apache.kafka:kafka_2.13:$KAFKA_VERSION" org.slf4j:slf4j-simple:1.7.36
}

# The short intervals let tests see compaction, retention and transaction time-outs within seconds; the session time-out
# lets a broker that was killed register again without waiting for its predecessor's session.
write_properties() {
    local controller=$((PORT + 1))
    cat >"$MARKER" <<P
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$PORT,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$PORT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=$DIR/data
num.partitions=1
auto.create.topics.enable=true
message.max.bytes=20971520
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
offsets.topic.segment.bytes=4194304
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
transaction.state.log.segment.bytes=4194304
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
# Proofs that kill members hundreds of times need not wait six seconds for each that is dead.
group.min.session.timeout.ms=1000
log.segment.bytes=134217728
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=8388608
log.cleaner.backoff.ms=1000
log.retention.check.interval.ms=2000
log.initial.task.delay.ms=1000
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
num.network.threads=2
num.io.threads=4
background.threads=2
P
}

# A new name of a cluster: 16 bytes, of letters and digits, because a word that begins with a dash is taken for an option.
new_cluster_id() { head -c 16 /dev/urandom | base64 | tr '+/' 'ab' | tr -d '='; }

# Makes the data folder of a broker, unless there is one. Usage: format_data CLUSTER_ID
format_data() {
    [ -e "$DIR/data/meta.properties" ] && return
    mkdir -p "$DIR/data"
    with_progress "$NAME: formatting the data folder" "$DIR/format.log" \
        java -Xmx128m -XX:TieredStopAtLevel=1 -cp "$LIBRARY/lib/*" kafka.tools.StorageTool \
        format --ignore-formatted -t "$1" -c "$MARKER"
}

service_prepare() {
    write_properties
    format_data "$(new_cluster_id)"
}

service_command() {
    local heap options extra
    heap=$(setting HEAP "${DEFAULT_HEAP:-512m}")
    read -r -a options <<<"$(setting JAVA_OPTS '')"
    read -r -a extra <<<"$(setting ARGS '')"
    COMMAND=(java -Xms64m "-Xmx$heap" -XX:+UseSerialGC -Djava.net.preferIPv4Stack=true
        -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.showDateTime=true
        "${options[@]}" -cp "$LIBRARY/lib/*" kafka.Kafka "$MARKER" "${extra[@]}")
}

service_ready() { kafka_answers "$PORT"; }

service_address() { echo "127.0.0.1:$PORT"; }

service_env() { echo "$PREFIX=127.0.0.1:$PORT"; }
