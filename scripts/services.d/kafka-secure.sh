# Kafka behind SASL_SSL, for tests of what a worker says to a secured cluster: SCRAM-SHA-512 and PLAIN, certificates of an
# authority of its own, OAUTHBEARER with unsecured tokens (a test has no key that brokers know), a listener that asks for
# the client's certificate three ports above, and rights: one account has none. The plaintext listener two ports above is the broker's own and for the readiness check.
KAFKA_VERSION=3.9.2
PREFIX=EF_KAFKA_SECURE
DEFAULT_PORT=19392
source "$SCRIPTS/lib/kafka_broker.sh"

# Accounts of a test server on loopback; no secrets.
SCRAM_USER=scram SCRAM_PASSWORD=scram-password
LIMITED_USER=limited LIMITED_PASSWORD=limited-password
PLAIN_USER=plain PLAIN_PASSWORD=plain-password

service_install() {
    need_java
    need_program openssl openssl
    install_missing "$CACHE/apt.log"
    fetch_jars "$NAME" "$LIBRARY" "org.apache.kafka:kafka_2.13:$KAFKA_VERSION" org.slf4j:slf4j-simple:1.7.36
}

# An authority, and a certificate for localhost that it has signed. Usage: make_certificates FOLDER
make_certificates() {
    local folder=$1 key=(-newkey rsa:2048 -nodes -sha256)
    mkdir -p "$folder"
    openssl req -x509 "${key[@]}" -days 3650 -subj "/CN=ElasticFlow test authority" \
        -keyout "$folder/ca.key" -out "$folder/ca.pem" 2>/dev/null
    openssl req -x509 "${key[@]}" -days 3650 -subj "/CN=Another authority" \
        -keyout "$folder/other.key" -out "$folder/other-ca.pem" 2>/dev/null
    openssl req "${key[@]}" -subj "/CN=localhost" -keyout "$folder/server.key" -out "$folder/server.csr" 2>/dev/null
    echo "subjectAltName=DNS:localhost,IP:127.0.0.1" >"$folder/server.ext"
    openssl x509 -req -days 3650 -in "$folder/server.csr" -CA "$folder/ca.pem" -CAkey "$folder/ca.key" -CAcreateserial \
        -extfile "$folder/server.ext" -out "$folder/server.crt" 2>/dev/null
    openssl req "${key[@]}" -subj "/CN=client" -keyout "$folder/client.key" -out "$folder/client.csr" 2>/dev/null
    openssl x509 -req -days 3650 -in "$folder/client.csr" -CA "$folder/ca.pem" -CAkey "$folder/ca.key" -CAcreateserial \
        -out "$folder/client.crt" 2>/dev/null
    cat "$folder/client.key" "$folder/client.crt" >"$folder/client.pem"
    cat "$folder/server.key" "$folder/server.crt" "$folder/ca.pem" >"$folder/server.pem"
}

write_secure_properties() {
    write_properties
    local controller=$((PORT + 1)) internal=$((PORT + 2)) mutual=$((PORT + 3)) jaas=org.apache.kafka.common.security
    cat >>"$MARKER" <<P
listeners=SASL_SSL://127.0.0.1:$PORT,MUTUAL://127.0.0.1:$mutual,INTERNAL://127.0.0.1:$internal,CONTROLLER://127.0.0.1:$controller
advertised.listeners=SASL_SSL://localhost:$PORT,MUTUAL://localhost:$mutual,INTERNAL://127.0.0.1:$internal
inter.broker.listener.name=INTERNAL
listener.security.protocol.map=CONTROLLER:PLAINTEXT,INTERNAL:PLAINTEXT,SASL_SSL:SASL_SSL,MUTUAL:SSL
sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN,OAUTHBEARER
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=$jaas.scram.ScramLoginModule required;
listener.name.sasl_ssl.plain.sasl.jaas.config=$jaas.plain.PlainLoginModule required user_$PLAIN_USER="$PLAIN_PASSWORD" user_$LIMITED_USER="$LIMITED_PASSWORD";
listener.name.sasl_ssl.oauthbearer.sasl.jaas.config=$jaas.oauthbearer.OAuthBearerLoginModule required;
listener.name.mutual.ssl.client.auth=required
listener.name.mutual.ssl.truststore.type=PEM
listener.name.mutual.ssl.truststore.location=$DIR/tls/ca.pem
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:$SCRAM_USER;User:$PLAIN_USER;User:oauth;User:CN=client
ssl.keystore.type=PEM
ssl.keystore.location=$DIR/tls/server.pem
P
}

service_prepare() {
    write_secure_properties
    [ -e "$DIR/tls/client.pem" ] || make_certificates "$DIR/tls" || return 1
    [ -e "$DIR/data/meta.properties" ] && return
    mkdir -p "$DIR/data"
    with_progress "$NAME: formatting the data folder" "$DIR/format.log" \
        java -Xmx128m -XX:TieredStopAtLevel=1 -cp "$LIBRARY/lib/*" kafka.tools.StorageTool \
        format --ignore-formatted -t "$(new_cluster_id)" -c "$MARKER" \
        --add-scram "SCRAM-SHA-512=[name=$SCRAM_USER,password=$SCRAM_PASSWORD]"
}

service_ready() { kafka_answers $((PORT + 2)) && port_answers "$PORT"; }

service_address() { echo "localhost:$PORT, SASL_SSL, authority $DIR/tls/ca.pem"; }

service_env() {
    echo "EF_KAFKA_SECURE=localhost:$PORT"
    echo "EF_KAFKA_SECURE_CA=$DIR/tls/ca.pem"
    echo "EF_KAFKA_SECURE_OTHER_CA=$DIR/tls/other-ca.pem"
    echo "EF_KAFKA_SECURE_SCRAM=$SCRAM_USER:$SCRAM_PASSWORD"
    echo "EF_KAFKA_SECURE_PLAIN=$PLAIN_USER:$PLAIN_PASSWORD"
    echo "EF_KAFKA_SECURE_LIMITED=$LIMITED_USER:$LIMITED_PASSWORD"
    echo "EF_KAFKA_SECURE_MUTUAL=localhost:$((PORT + 3))"
    echo "EF_KAFKA_SECURE_CLIENT=$DIR/tls/client.pem"
    echo "EF_KAFKA_SECURE_INTERNAL=127.0.0.1:$((PORT + 2))"
    echo "EF_KAFKA_SECURE_LIB=$LIBRARY/lib"
}
