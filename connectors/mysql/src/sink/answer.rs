//! Codes of MySQL and MariaDB, sorted by what they lead to.
use elasticflow_sql::Trouble;
use elasticflow_sql::error::without_quoted;

/// What a code means; one place, one table, one test.
pub(super) fn trouble_of(code: u16) -> Trouble {
    match code {
        1205 | 1213 | 1317 | 3024 | 1969 | 1040 | 1203 | 1226 | 4031 | 1290 | 1792 | 1836 | 1402 | 1440 | 1613
        | 1614 => Trouble::Passing,
        2006 | 2013 | 1053 | 1077..=1080 | 1152 | 1158..=1161 | 1184 | 1927 => Trouble::Lost,
        1021 | 1114 | 1037 | 1038 | 1041 => Trouble::NoSpace,
        1044..=1046
        | 1049
        | 1130
        | 1142
        | 1143
        | 1227
        | 1370
        | 1410
        | 1698
        | 1820
        | 1862
        | 1064
        | 1231
        | 1071
        | 1074
        | 1118
        | 1193
        | 1251 => Trouble::Config,
        1146 | 1054 | 1136 => Trouble::Structure,
        1048 | 1062 | 1216 | 1217 | 1264 | 1265 | 1292 | 1364 | 1366 | 1367 | 1406 | 1411 | 1426 | 1441 | 1451
        | 1452 | 1525 | 1690 | 3140 | 3156 | 3819 | 4025 | 1300 | 1416 | 3643 | 1644 => Trouble::Row,
        1153 | 1301 => Trouble::TooLarge,
        _ => Trouble::Unknown,
    }
}

/// What may be said of an answer. Texts about rows hold their values, so only the name of the key or column is taken.
pub(super) fn text_of(code: u16, trouble: Trouble, message: &str) -> String {
    match trouble {
        Trouble::Row => match named(message) {
            Some(named) => format!("rejected by the database ({code}) for {named}"),
            None => format!("rejected by the database ({code})"),
        },
        Trouble::Config | Trouble::Structure => format!("{} ({code})", message.chars().take(600).collect::<String>()),
        _ => format!("{} ({code})", without_quoted(message)),
    }
}

/// `key 'x'`, `column 'x'` or `constraint 'x'` at the end of a text.
fn named(message: &str) -> Option<String> {
    for word in ["for key ", "column ", "Column ", "constraint ", "CONSTRAINT ", "Field "] {
        let Some((_, rest)) = message.rsplit_once(word) else { continue };
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '`'))?;
        let name = rest.trim_start_matches(quote).split(quote).next()?;
        // MariaDB names the column with schema and table, each in quotes of its own.
        let column = rest.split(' ').next().and_then(|whole| whole.rsplit('.').next()).unwrap_or(name);
        let name = if word.trim() == "column" { column.trim_matches(['\'', '`']) } else { name };
        return Some(format!("{} {name}", word.trim().to_lowercase().trim_start_matches("for ")));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_code_has_its_class() {
        for (codes, trouble) in [
            (&[1205_u16, 1213, 1040, 1290, 1440, 1614][..], Trouble::Passing),
            (&[2006, 2013, 1053], Trouble::Lost),
            (&[1021, 1114], Trouble::NoSpace),
            (&[1045, 1142, 1049, 1064], Trouble::Config),
            (&[1146, 1054], Trouble::Structure),
            (&[1062, 1048, 1264, 1406, 1452, 3819, 4025], Trouble::Row),
            (&[1153], Trouble::TooLarge),
            (&[9999], Trouble::Unknown),
        ] {
            for code in codes {
                assert_eq!(trouble_of(*code), trouble, "{code}");
            }
        }
    }

    #[test]
    fn a_refused_rows_text_names_the_column_and_never_the_value() {
        for (message, text) in [
            (
                "Duplicate entry 'secret' for key 'people.PRIMARY'",
                "rejected by the database (1062) for key people.PRIMARY",
            ),
            ("Data too long for column 'name' at row 1", "rejected by the database (1062) for column name"),
            (
                "Incorrect integer value: 'secret' for column `db`.`t`.`age` at row 2",
                "rejected by the database (1062) for column age",
            ),
            ("Column 'id' cannot be null", "rejected by the database (1062) for column id"),
            ("something else with 'secret'", "rejected by the database (1062)"),
        ] {
            assert_eq!(text_of(1062, Trouble::Row, message), text);
        }
    }
}
