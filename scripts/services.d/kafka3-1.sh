# The first of three brokers of one cluster; `kafka3` names all of them.
NODE=1
source "$SCRIPTS/lib/kafka_member.sh"
