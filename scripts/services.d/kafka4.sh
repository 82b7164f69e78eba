# Kafka 4: the current broker line.
KAFKA_VERSION=4.3.1
PREFIX=EF_KAFKA4
DEFAULT_PORT=19192
source "$SCRIPTS/lib/kafka_broker.sh"
