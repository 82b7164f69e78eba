# Kafka 3.9: the oldest broker line that is supported.
KAFKA_VERSION=3.9.2
PREFIX=EF_KAFKA
DEFAULT_PORT=19092
source "$SCRIPTS/lib/kafka_broker.sh"
