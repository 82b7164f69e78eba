//! Columns of TINYINT that are written as booleans: Debezium's `TinyIntOneToBooleanConverter`, the one converter of columns that
//! is built in. Others are Java classes.
use crate::column::{Column, Ty};
use crate::config::CdcConfig;
use elasticflow_cdc::filter::Patterns;

/// The converter's class, in the packages that it has had.
const CLASS: &str = "TinyIntOneToBooleanConverter";
const PACKAGES: [&str; 3] = [
    "io.debezium.connector.mysql.converters",
    "io.debezium.connector.mariadb.converters",
    "io.debezium.connector.binlog.converters",
];

/// Which columns.
#[derive(Debug, Clone, Default)]
pub struct Booleans(Vec<Rule>);

#[derive(Debug, Clone)]
struct Rule {
    /// Columns, as `database.table.column`; all without it.
    selector: Option<Patterns>,
    /// Whether the declared length must be 1.
    one_alone: bool,
}

impl Booleans {
    /// Reads `converters` and the keys under the names in it.
    ///
    /// # Errors
    /// Keys with what is wrong.
    pub fn parse(config: &CdcConfig) -> Result<Self, Vec<(String, String)>> {
        let posted = |key: String| config.posted.0.get(&key).map(|text| text.trim().to_owned());
        let names = config.converters.as_deref().unwrap_or_default();
        let (mut rules, mut wrong) = (Vec::new(), Vec::new());
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let key = format!("{name}.type");
            match posted(key.clone()) {
                None => wrong.push((key, format!("must be set: converters names {name}"))),
                Some(class) if is_known(&class) => match rule(name, posted) {
                    Ok(rule) => rules.push(rule),
                    Err(problem) => wrong.push(problem),
                },
                Some(class) => wrong.push((
                    key,
                    format!(
                        "{class} is a Java class, which cannot be run; built in is {}.{CLASS}. Use a transform, such as Cast, or the modes of this connector",
                        PACKAGES[0]
                    ),
                )),
            }
        }
        if wrong.is_empty() { Ok(Self(rules)) } else { Err(wrong) }
    }

    /// Whether a column is written as a boolean; `name` is `database.table.column`.
    pub fn take(&self, column: &Column, name: &str) -> bool {
        let one = column.declared.to_ascii_lowercase().starts_with("tinyint(1)");
        let fits = |rule: &Rule| (one || !rule.one_alone) && rule.selector.as_ref().is_none_or(|s| s.matches(name));
        matches!(column.ty, Ty::Int { bytes: 1, .. }) && self.0.iter().any(fits)
    }
}

fn is_known(class: &str) -> bool {
    class == CLASS || class.rsplit_once('.').is_some_and(|(package, name)| name == CLASS && PACKAGES.contains(&package))
}

fn rule(name: &str, posted: impl Fn(String) -> Option<String>) -> Result<Rule, (String, String)> {
    let (selector, checker) = (format!("{name}.selector"), format!("{name}.length.checker"));
    let patterns = posted(selector.clone()).filter(|text| !text.is_empty());
    let patterns = patterns.map(|text| Patterns::parse(&text)).transpose().map_err(|reason| (selector, reason))?;
    let one_alone = match posted(checker.clone()).as_deref().map(str::to_ascii_lowercase).as_deref() {
        None | Some("" | "true") => true,
        Some("false") => false,
        Some(_) => return Err((checker, "must be true or false".to_owned())),
    };
    Ok(Rule { selector: patterns, one_alone })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::Described;
    use elasticflow_config::{Properties, parse};

    fn booleans(extra: &[(&str, &str)]) -> Result<Booleans, Vec<(String, String)>> {
        let base = [("database.hostname", "h"), ("database.user", "u"), ("topic.prefix", "p"), ("converters", "b")];
        let properties = Properties::from_iter(base.iter().chain(extra).copied());
        Booleans::parse(&parse::<CdcConfig>(&properties).unwrap())
    }

    fn column(declared: &str) -> Column {
        let data_type = declared.split('(').next().unwrap().to_owned();
        Column::described(&Described { data_type, column_type: declared.to_owned(), ..Described::default() })
    }

    const TYPE: (&str, &str) = ("b.type", "io.debezium.connector.mysql.converters.TinyIntOneToBooleanConverter");

    #[test]
    fn columns_of_length_one_that_the_selector_names_are_booleans() {
        let all = booleans(&[TYPE]).unwrap();
        assert!(all.take(&column("tinyint(1)"), "d.t.c") && all.take(&column("tinyint(1) unsigned"), "d.t.c"));
        assert!(!all.take(&column("tinyint(4)"), "d.t.c") && !all.take(&column("tinyint"), "d.t.c"));
        assert!(!all.take(&column("smallint(1)"), "d.t.c"));
        let some = booleans(&[TYPE, ("b.selector", "d\\.t\\.is_.*"), ("b.length.checker", "false")]).unwrap();
        assert!(some.take(&column("tinyint"), "d.t.is_new") && !some.take(&column("tinyint(1)"), "d.t.c"));
        assert!(!Booleans::default().take(&column("tinyint(1)"), "d.t.c"));
    }

    #[test]
    fn other_converters_are_refused_by_name_with_the_reason() {
        let wrong = booleans(&[("b.type", "com.example.Mine")]).unwrap_err();
        assert_eq!(wrong[0].0, "b.type");
        assert!(wrong[0].1.starts_with("com.example.Mine is a Java class"), "{}", wrong[0].1);
        assert_eq!(booleans(&[]).unwrap_err()[0].0, "b.type");
        assert_eq!(booleans(&[TYPE, ("b.selector", "(")]).unwrap_err()[0].0, "b.selector");
        assert_eq!(booleans(&[TYPE, ("b.length.checker", "maybe")]).unwrap_err()[0].0, "b.length.checker");
    }
}
