# The second of three brokers of one cluster; `kafka3` names all of them.
NODE=2
source "$SCRIPTS/lib/kafka_member.sh"
