# One of three KRaft brokers that replicate everything three times, for tests that kill, freeze and restart them. The service
# names NODE (1, 2 or 3); EF_KAFKA3_PORT is the port of the first one, the others stand ten above each other.
KAFKA_VERSION=${EF_KAFKA3_VERSION:-4.3.1}
PREFIX=EF_KAFKA3_$NODE
DEFAULT_PORT=$((${EF_KAFKA3_PORT:-19492} + 10 * (NODE - 1)))
DEFAULT_HEAP=${EF_KAFKA3_HEAP:-192m}
source "$SCRIPTS/lib/kafka_broker.sh"

# 16 bytes: members format their folders without knowing of each other.
CLUSTER_ID=ZWxhc3RpY2Zsb3cta2FmMw

# The port of a member, from this one's. Usage: port_of NODE
port_of() { echo $((PORT + 10 * ($1 - NODE))); }

# A member that is gone is noticed as in production: after Kafka's own nine seconds, not after those of a single test broker.
write_member_properties() {
    local voters= member
    write_properties
    for member in 1 2 3; do voters+=,$member@127.0.0.1:$(($(port_of $member) + 1)); done
    cat >>"$MARKER" <<P
node.id=$NODE
controller.quorum.voters=${voters#,}
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2
broker.session.timeout.ms=9000
broker.heartbeat.interval.ms=2000
P
}

service_prepare() {
    write_member_properties
    format_data "$CLUSTER_ID"
}

service_env() {
    if [ "$NODE" = 1 ]; then echo "EF_KAFKA3=127.0.0.1:$(port_of 1),127.0.0.1:$(port_of 2),127.0.0.1:$(port_of 3)"; fi
    echo "$PREFIX=127.0.0.1:$PORT"
}
