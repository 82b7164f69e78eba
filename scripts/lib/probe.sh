# Readiness checks: each speaks the server's own protocol, so that an open port alone never counts as ready.
# They use bash's own /dev/tcp and need no client program unless said.

# True if something listens on the loopback port. Usage: port_answers PORT
port_answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Sends the bytes of a printf format to a loopback port and prints what comes back, at most LIMIT bytes within two seconds.
# Usage: exchange PORT LIMIT FORMAT
exchange() {
    # shellcheck disable=SC2016  # expanded by the inner shell
    timeout 2 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1" && printf "$3" >&3 && head -c "$2" <&3' _ "$@" 2>/dev/null
}

# True if a Kafka Metadata request (version 1, no topics) is answered with at least one broker. Usage: kafka_answers PORT
kafka_answers() {
    local bytes
    read -r -a bytes < <(exchange "$1" 12 '\0\0\0\016\0\003\0\001\0\0\0\007\377\377\0\0\0\0' | od -An -v -tu1)
    # length, correlation id 7, number of brokers
    [ "${#bytes[@]}" -eq 12 ] && [ "${bytes[7]}" -eq 7 ] && [ "${bytes[11]}" -ge 1 ]
}

# True if GET PATH is answered with status 200 and a body that contains TEXT. Usage: http_answers PORT PATH TEXT
http_answers() {
    local answer
    answer=$(exchange "$1" 65536 "GET $2 HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n" | tr -d '\0') || return 1
    [[ $answer == HTTP/1.?\ 200* && $answer == *"$3"* ]]
}

# True if a login and a statement succeed over TCP; uses the `mariadb` client. Usage: sql_answers PORT USER PASSWORD
sql_answers() {
    [ "$(MYSQL_PWD=$3 timeout 5 mariadb --no-defaults --protocol=tcp -h 127.0.0.1 -P "$1" -u "$2" \
        --connect-timeout=2 -N -B -e 'SELECT 42' 2>/dev/null)" = 42 ]
}
