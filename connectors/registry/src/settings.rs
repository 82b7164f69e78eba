//! Keys that every converter of this crate takes, under Confluent's names.
use crate::error::Error;
use elasticflow_config::{Properties, Secret};

elasticflow_config::choice! {
    /// Where the login comes from.
    pub enum BasicSource {
        /// From the addresses: `https://user:password@host`.
        Url = "URL",
        /// From `basic.auth.user.info`.
        UserInfo = "USER_INFO",
    }
}

elasticflow_config::choice! {
    /// Where the bearer token comes from.
    pub enum BearerSource {
        /// From `bearer.auth.token`.
        Static = "STATIC_TOKEN",
    }
}

/// Declares the settings of one converter: its own keys, then those of every converter of this crate.
macro_rules! registry_settings {
    (
        $(#[doc = $sdoc:literal])* $vis:vis struct $name:ident { $($own:tt)* }
    ) => {
        elasticflow_config::settings! {
            $(#[doc = $sdoc])*
            $vis struct $name {
                /// Whether keys or values are converted; set by the framework.
                "converter.type" => converter_type: String { importance: Low, hidden: true },
                /// Addresses of the registry, separated by commas; a path may stand behind them, as in
                /// http://host:8080/apis/ccompat/v7. The next is asked when one does not answer.
                "schema.registry.url" => urls: Vec<String> {
                    importance: High, group: "Registry", valid: Validity::Check($crate::client::check_urls)
                },
                /// Login: URL takes it from the addresses, USER_INFO from basic.auth.user.info.
                "basic.auth.credentials.source" => basic_source: $crate::settings::BasicSource {
                    default: "URL", group: "Registry"
                },
                /// Login, as user:password.
                "basic.auth.user.info" => basic_user_info: Option<elasticflow_config::Secret> { group: "Registry" },
                /// Whether and whence a bearer token is sent.
                "bearer.auth.credentials.source" => bearer_source: Option<$crate::settings::BearerSource> {
                    group: "Registry"
                },
                /// The bearer token.
                "bearer.auth.token" => bearer_token: Option<elasticflow_config::Secret> { group: "Registry" },
                /// File with the certificates, in PEM form, that the registry's own is checked with; without it, those
                /// of public authorities.
                "schema.registry.ssl.truststore.location" => truststore: Option<String> { group: "Registry" },
                /// The same certificates as text.
                "schema.registry.ssl.truststore.certificates" => truststore_pem: Option<String> { group: "Registry" },
                /// Form of the certificates.
                "schema.registry.ssl.truststore.type" => truststore_type: Option<String> {
                    importance: Low, group: "Registry", valid: Validity::Check($crate::client::check_store_type)
                },
                /// File with this client's certificate and its key, in PEM form.
                "schema.registry.ssl.keystore.location" => keystore: Option<String> { group: "Registry" },
                /// This client's certificate as text, in PEM form; with schema.registry.ssl.keystore.key.
                "schema.registry.ssl.keystore.certificate.chain" => keystore_chain: Option<String> { group: "Registry" },
                /// The key of that certificate as text, in PEM form, not encrypted.
                "schema.registry.ssl.keystore.key" => keystore_key: Option<elasticflow_config::Secret> {
                    group: "Registry"
                },
                /// Form of this client's certificate.
                "schema.registry.ssl.keystore.type" => keystore_type: Option<String> {
                    importance: Low, group: "Registry", valid: Validity::Check($crate::client::check_store_type)
                },
                /// Longest wait for a connection to the registry.
                "http.connect.timeout.ms" => connect_timeout: elasticflow_config::Millis {
                    default: "10000", importance: Low, group: "Registry"
                },
                /// Longest wait for an answer of the registry.
                "http.read.timeout.ms" => read_timeout: elasticflow_config::Millis {
                    default: "20000", importance: Low, group: "Registry"
                },
                /// Host of an HTTP proxy before the registry.
                "proxy.host" => proxy_host: Option<String> { importance: Low, group: "Registry" },
                /// Port of the proxy.
                "proxy.port" => proxy_port: u16 { default: "8080", importance: Low, group: "Registry" },
                /// Writing: whether schemas that the subject lacks are registered. Without, the schema must be there.
                "auto.register.schemas" => auto_register: bool { default: "true", group: "Schemas" },
                /// Writing: with the newest version of the subject, not with the schema of the records; needs
                /// auto.register.schemas=false.
                "use.latest.version" => use_latest: bool { default: "false", group: "Schemas" },
                /// Writing: whether records must fit the newest version without loss; if not, fields that it lacks are
                /// left out (JSON Schema: written all the same).
                "latest.compatibility.strict" => latest_strict: bool { default: "true", group: "Schemas" },
                /// Writing: with the schema of this id; needs auto.register.schemas=false. -1 is none.
                "use.schema.id" => use_id: i64 {
                    default: "-1", group: "Schemas", valid: Validity::Range(-1.0, 4_294_967_295.0)
                },
                /// Writing: the same as latest.compatibility.strict, for use.schema.id.
                "id.compatibility.strict" => id_strict: bool { default: "true", group: "Schemas" },
                /// Writing: whether the registry compares schemas without regard to their spelling.
                "normalize.schemas" => normalize: bool { default: "false", group: "Schemas" },
                /// Subjects of keys.
                "key.subject.name.strategy" => key_subjects: String {
                    default: "io.confluent.kafka.serializers.subject.TopicNameStrategy", group: "Schemas",
                    valid: Validity::Check($crate::subject::SubjectNames::check)
                },
                /// Subjects of values.
                "value.subject.name.strategy" => value_subjects: String {
                    default: "io.confluent.kafka.serializers.subject.TopicNameStrategy", group: "Schemas",
                    valid: Validity::Check($crate::subject::SubjectNames::check)
                },
                /// Most schemas that are kept prepared, for writing and for reading each.
                "schemas.cache.config" => cache: usize {
                    default: "1000", importance: Low, group: "Schemas", valid: Validity::Range(1.0, 1e6)
                },
                $($own)*
            }
        }

        impl $name {
            /// What concerns the registry.
            pub(crate) fn registry(&self) -> $crate::settings::RegistrySettings {
                $crate::settings::RegistrySettings {
                    urls: self.urls.clone(),
                    basic_source: self.basic_source,
                    basic_user_info: self.basic_user_info.clone(),
                    bearer_source: self.bearer_source,
                    bearer_token: self.bearer_token.clone(),
                    truststore: self.truststore.clone(),
                    truststore_pem: self.truststore_pem.clone(),
                    keystore: self.keystore.clone(),
                    keystore_chain: self.keystore_chain.clone(),
                    keystore_key: self.keystore_key.clone(),
                    connect_timeout: self.connect_timeout.duration(),
                    read_timeout: self.read_timeout.duration(),
                    proxy: self.proxy_host.clone().map(|host| (host, self.proxy_port)),
                    auto_register: self.auto_register,
                    use_latest: self.use_latest,
                    latest_strict: self.latest_strict,
                    use_id: u32::try_from(self.use_id).ok(),
                    id_strict: self.id_strict,
                    normalize: self.normalize,
                    key_subjects: self.key_subjects.clone(),
                    value_subjects: self.value_subjects.clone(),
                    cache: self.cache,
                }
            }
        }
    };
}
pub(crate) use registry_settings;

/// The settings that concern the registry, whatever the format.
#[derive(Debug, Clone)]
pub(crate) struct RegistrySettings {
    pub(crate) urls: Vec<String>,
    pub(crate) basic_source: BasicSource,
    pub(crate) basic_user_info: Option<Secret>,
    pub(crate) bearer_source: Option<BearerSource>,
    pub(crate) bearer_token: Option<Secret>,
    pub(crate) truststore: Option<String>,
    pub(crate) truststore_pem: Option<String>,
    pub(crate) keystore: Option<String>,
    pub(crate) keystore_chain: Option<String>,
    pub(crate) keystore_key: Option<Secret>,
    pub(crate) connect_timeout: std::time::Duration,
    pub(crate) read_timeout: std::time::Duration,
    pub(crate) proxy: Option<(String, u16)>,
    pub(crate) auto_register: bool,
    pub(crate) use_latest: bool,
    pub(crate) latest_strict: bool,
    pub(crate) use_id: Option<u32>,
    pub(crate) id_strict: bool,
    pub(crate) normalize: bool,
    pub(crate) key_subjects: String,
    pub(crate) value_subjects: String,
    pub(crate) cache: usize,
}

impl RegistrySettings {
    /// Refuses what contradicts itself, so that no option is without effect.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let refuse = |text: &str| Err(Error::Setting(text.to_owned()));
        if self.auto_register && self.use_latest {
            return refuse(
                "use.latest.version=true needs auto.register.schemas=false, else every schema is registered",
            );
        }
        if self.auto_register && self.use_id.is_some() {
            return refuse("use.schema.id needs auto.register.schemas=false, else every schema is registered");
        }
        if self.use_latest && self.use_id.is_some() {
            return refuse("use.schema.id and use.latest.version exclude each other; set one of them");
        }
        if self.basic_source == BasicSource::UserInfo && self.basic_user_info.is_none() {
            return refuse("basic.auth.user.info is missing: basic.auth.credentials.source is USER_INFO");
        }
        if self.bearer_source.is_some() && self.bearer_token.is_none() {
            return refuse("bearer.auth.token is missing: bearer.auth.credentials.source is STATIC_TOKEN");
        }
        if self.bearer_source.is_none() && self.bearer_token.is_some() {
            return refuse("bearer.auth.token has no effect without bearer.auth.credentials.source=STATIC_TOKEN");
        }
        if self.keystore_chain.is_some() != self.keystore_key.is_some() {
            return refuse(
                "schema.registry.ssl.keystore.certificate.chain and schema.registry.ssl.keystore.key go together",
            );
        }
        Ok(())
    }
}

/// Keys of Confluent's converters that are not supported: any value but the default is refused with the reason.
const UNSUPPORTED: [(&str, &[&str], &str); 29] = [
    ("generalized.sum.type.support", &["false"], "unions and enums are mapped in Confluent's default way alone"),
    ("flatten.unions", &["true"], "nested unions do not exist"),
    ("context.name.strategy", &[], "write the context into the subject's registry address instead"),
    ("subject.name.strategy", &[], "set key.subject.name.strategy or value.subject.name.strategy"),
    ("reference.subject.name.strategy", &[], "schemas are written without references"),
    ("use.latest.with.metadata", &[], "set use.latest.version or use.schema.id"),
    ("latest.cache.ttl.sec", &["-1"], "the newest version is read when a task starts; restart it to read it again"),
    ("latest.cache.size", &["1000"], "schemas.cache.config limits every cache"),
    ("max.schemas.per.subject", &["1000"], "schemas.cache.config limits every cache"),
    ("key.schema.id.serializer", &["io.confluent.kafka.serializers.schema.id.PrefixSchemaIdSerializer"], PREFIX_ONLY),
    ("value.schema.id.serializer", &["io.confluent.kafka.serializers.schema.id.PrefixSchemaIdSerializer"], PREFIX_ONLY),
    ("json.fail.invalid.schema", &["false"], "messages are not validated against their schema"),
    ("json.write.dates.iso8601", &["false"], "dates are numbers, as in Connect"),
    ("generate.index.for.unions", &["true"], "the fields of oneofs carry their place in their names"),
    ("generate.struct.for.nulls", &["false"], "a null is a null"),
    ("int.for.enums", &["false"], "enums are texts"),
    ("wrapper.for.raw.primitives", &["true"], "messages are structs"),
    ("specific.avro.reader", &["false"], "there are no generated classes here"),
    ("avro.reflection.allow.null", &["false"], "there are no Java classes here"),
    ("avro.use.logical.type.converters", &["false"], "logical types follow Connect's data model"),
    ("rule.executors", &[], "data contract rules are not executed"),
    ("rule.actions", &[], "data contract rules are not executed"),
    ("max.retries", &[], "set the connector's errors.retry.timeout; a task restarts by itself in any case"),
    ("retries.wait.ms", &[], "set the connector's errors.retry.timeout"),
    ("retries.max.wait.ms", &[], "set the connector's errors.retry.delay.max.ms"),
    ("schema.registry.ssl.truststore.password", &[], "PEM certificates need no password"),
    ("schema.registry.ssl.keystore.password", &[], "PEM certificates need no password"),
    ("schema.registry.ssl.key.password", &[], "decrypt the key: openssl pkey -in KEY -out PLAIN"),
    (
        "schema.registry.ssl.endpoint.identification.algorithm",
        &["https"],
        "the name in the registry's certificate is always checked",
    ),
];
const PREFIX_ONLY: &str = "the id of the schema always stands before the message";

/// Refuses keys that would be without effect.
pub(crate) fn refuse_unsupported(properties: &Properties) -> Result<(), Error> {
    for (key, defaults, reason) in UNSUPPORTED {
        let Some(value) = properties.value(key).map(str::trim) else { continue };
        if !value.is_empty() && !defaults.iter().any(|d| d.eq_ignore_ascii_case(value)) {
            return Err(Error::Setting(format!("{key} is not supported: {reason}; remove the key")));
        }
    }
    Ok(())
}
