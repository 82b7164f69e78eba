//! SQLSTATEs, sorted by what they lead to.
use elasticflow_sql::error::without_quoted;
use elasticflow_sql::{SqlError, Trouble};
use tokio_postgres::error::DbError;

/// What a state means; one place, one table, one test.
pub(crate) fn trouble_of(state: &str) -> Trouble {
    match state {
        "57P01" | "57P02" | "57P03" | "57P04" | "57P05" | "25P03" => Trouble::Lost,
        "40001" | "40P01" | "55P03" | "57014" | "53300" | "25006" | "55006" => Trouble::Passing,
        // Tables are created where they are not there: another session has created it, or its type, at the same moment.
        "42P07" | "42710" => Trouble::Passing,
        "53000" | "53100" | "53200" => Trouble::NoSpace,
        "3D000" | "3F000" | "42501" | "42704" | "42P10" | "42601" | "0A000" | "42804" | "42809" => Trouble::Config,
        "42P01" | "42703" => Trouble::Structure,
        "23502" | "23503" | "23505" | "23514" | "23P01" | "21000" | "428C9" | "P0001" => Trouble::Row,
        "54000" | "54001" => Trouble::TooLarge,
        _ => match state.get(..2) {
            Some("08") => Trouble::Lost,
            Some("28") => Trouble::Config,
            Some("22") => Trouble::Row,
            _ => Trouble::Unknown,
        },
    }
}

/// An answer of the server. Texts about rows hold their values, so only names are taken from them.
pub(crate) fn answer_of(error: &DbError) -> SqlError {
    let state = error.code().code();
    let trouble = match trouble_of(state) {
        // Two sessions created the same object at once: one row of the catalogue is doubled, none of the user's.
        Trouble::Row if error.constraint().is_some_and(|name| name.starts_with("pg_")) => Trouble::Passing,
        trouble => trouble,
    };
    let text = match trouble {
        Trouble::Row => {
            let named = match (error.constraint(), error.column()) {
                (Some(constraint), _) => format!(" for constraint {constraint}"),
                (None, Some(column)) => format!(" for column {column}"),
                (None, None) => String::new(),
            };
            format!("rejected by the database ({state}){named}")
        }
        Trouble::Config | Trouble::Structure => format!("{} ({state})", error.message()),
        _ => format!("{} ({state})", without_quoted(error.message())),
    };
    SqlError { trouble, code: state.to_owned(), text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_state_has_its_class() {
        for (states, trouble) in [
            (&["08006", "57P01", "25P03"][..], Trouble::Lost),
            (&["40001", "40P01", "55P03", "53300", "42P07", "42710"], Trouble::Passing),
            (&["53100"], Trouble::NoSpace),
            (&["28P01", "3D000", "42501", "42601", "42P10"], Trouble::Config),
            (&["42P01", "42703"], Trouble::Structure),
            (&["22P02", "22003", "23505", "23502", "21000"], Trouble::Row),
            (&["XX000", ""], Trouble::Unknown),
        ] {
            for state in states {
                assert_eq!(trouble_of(state), trouble, "{state}");
            }
        }
    }
}
