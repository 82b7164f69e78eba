//! Names of topics and schemas.

/// Makes a topic name of parts: what Kafka does not allow becomes an underscore, one per UTF-16 unit.
pub fn topic(parts: &[&str], delimiter: &str) -> String {
    let mut out = String::new();
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            out.push_str(delimiter);
        }
        sanitise(part, &mut out);
    }
    out
}

fn sanitise(text: &str, out: &mut String) {
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') {
            out.push(c);
        } else {
            (0..c.len_utf16()).for_each(|_| out.push('_'));
        }
    }
}

elasticflow_config::choice! {
    /// How names are made legal for other systems.
    pub enum Adjustment {
        /// As they are.
        None = "none",
        /// What Avro does not allow becomes an underscore.
        Avro = "avro",
        /// What Avro does not allow becomes `_uXXXX`.
        AvroUnicode = "avro_unicode",
    }
}

impl Adjustment {
    /// Adjusts a schema name: dots separate parts.
    pub fn schema_name(self, name: &str) -> String {
        match self {
            Self::None => name.to_owned(),
            _ => name.split('.').map(|part| self.part(part)).collect::<Vec<_>>().join("."),
        }
    }

    /// Adjusts the name of a field.
    pub fn field_name(self, name: &str) -> String {
        match self {
            Self::None => name.to_owned(),
            _ => self.part(name),
        }
    }

    fn part(self, part: &str) -> String {
        let mut out = String::with_capacity(part.len() + 1);
        if part.starts_with(|c: char| c.is_ascii_digit()) {
            match self {
                Self::AvroUnicode => {}
                _ => out.push('_'),
            }
        }
        for (i, c) in part.chars().enumerate() {
            let legal = c.is_ascii_alphabetic() || c == '_' || (c.is_ascii_digit() && (i > 0 || self == Self::Avro));
            match self {
                Self::AvroUnicode if c == '_' => out.push_str("_u005f"),
                _ if legal => out.push(c),
                Self::AvroUnicode => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        out.push_str(&format!("_u{unit:04x}"));
                    }
                }
                _ => (0..c.len_utf16()).for_each(|_| out.push('_')),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_keeps_what_kafka_allows_and_replaces_the_rest() {
        assert_eq!(topic(&["srv", "my db", "t-1.é😀"], "."), "srv.my_db.t-1.___");
    }

    #[test]
    fn avro_names_get_underscores_and_no_leading_digit() {
        assert_eq!(Adjustment::Avro.schema_name("srv.my-db.1t.Key"), "srv.my_db._1t.Key");
        assert_eq!(Adjustment::None.field_name("a-b"), "a-b");
    }
}
