//! Names of tables.
use crate::config::{Dots, SinkKeys};
use crate::dialect::Dialect;
use crate::error::Error;

/// A table, with its schema where one is named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// Schema; on MySQL the database.
    pub schema: Option<String>,
    /// Table.
    pub table: String,
}

impl std::fmt::Display for TableName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.table),
            None => f.write_str(&self.table),
        }
    }
}

impl TableName {
    /// Splits a name at its dots; more than two parts keep the last two.
    pub fn parse(name: &str) -> Self {
        let mut parts = name.rsplitn(3, '.');
        let table = parts.next().unwrap_or(name).to_owned();
        Self { schema: parts.next().filter(|s| !s.is_empty()).map(str::to_owned), table }
    }

    /// The table of a topic.
    ///
    /// # Errors
    /// `Config` when the name is empty, too long or holds a NUL.
    pub fn of_topic(keys: &SinkKeys, topic: &str, dialect: &dyn Dialect) -> Result<Self, Error> {
        const MARK: &str = "${topic}";
        const LAST: &str = "${topic.last}";
        let last = topic.rsplit('.').next().unwrap_or(topic);
        let format = keys.table_name_format.as_str();
        let name = match keys.dots {
            Dots::Split => Self::parse(&format.replace(LAST, last).replace(MARK, topic)),
            Dots::Keep | Dots::Underscore => {
                let topic = if keys.dots == Dots::Underscore { topic.replace('.', "_") } else { topic.to_owned() };
                // The dots of the format are its own; those inside `${topic.last}` are hidden from the split.
                let hidden = format.replace(LAST, "${last}");
                let parsed = Self::parse(&hidden);
                let fill = |text: String| text.replace("${last}", last).replace(MARK, &topic);
                Self { schema: parsed.schema.map(fill), table: fill(parsed.table) }
            }
        };
        name.joined(dialect).checked(topic, dialect)
    }

    /// The table beside this one for which a suffix stands; a name that would be too long is cut and keeps a hash.
    pub(crate) fn staged(&self, suffix: &str, dialect: &dyn Dialect) -> Self {
        let most = dialect.identifier_max();
        let mut table = self.table.clone();
        if table.len() + suffix.len() > most {
            let hash = table.bytes().fold(0xcbf2_9ce4_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
            let mut keep = most.saturating_sub(suffix.len() + 9).min(table.len());
            while !table.is_char_boundary(keep) {
                keep -= 1;
            }
            table.truncate(keep);
            table.push_str(&format!("_{hash:08x}"));
        }
        table.push_str(suffix);
        Self { schema: self.schema.clone(), table }
    }

    /// Where a system has no schemas, a dot is part of the name.
    fn joined(self, dialect: &dyn Dialect) -> Self {
        match self.schema {
            Some(schema) if dialect.name_parts_max() < 2 => {
                Self { schema: None, table: format!("{schema}.{}", self.table) }
            }
            schema => Self { schema, table: self.table },
        }
    }

    fn checked(self, topic: &str, dialect: &dyn Dialect) -> Result<Self, Error> {
        let most = dialect.identifier_max();
        let parts = [Some(&self.table), self.schema.as_ref()];
        let wrong = parts.into_iter().flatten().any(|p| p.is_empty() || p.len() > most || p.contains('\0'));
        if wrong {
            return Err(Error::Config {
                code: "SQL-0059",
                text: format!(
                    "topic {topic} gives no table name that {} takes (1 to {most} bytes); set table.name.format",
                    dialect.name()
                ),
            });
        }
        Ok(self)
    }

    /// Quoted, with its schema.
    pub fn quoted(&self, dialect: &dyn Dialect) -> String {
        let table = dialect.quoted(&self.table);
        match self.schema.as_ref().filter(|_| dialect.name_parts_max() > 1) {
            Some(schema) => format!("{}.{table}", dialect.quoted(schema)),
            None => table,
        }
    }
}
