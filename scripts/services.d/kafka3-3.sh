# The third of three brokers of one cluster; `kafka3` names all of them.
NODE=3
source "$SCRIPTS/lib/kafka_member.sh"
