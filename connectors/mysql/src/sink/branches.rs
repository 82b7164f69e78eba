//! XA transactions as branches of the engine.
use elasticflow_sql::session::{TextRow, number, text};
use elasticflow_sql::{Branches, Error, Session, SqlError};

/// The one value of it.
pub(crate) static XA: Xa = Xa;

/// XA: `'name','ef',1` is global id, branch qualifier and number of the format.
pub(crate) struct Xa;

const QUALIFIER: &str = "ef";
/// Hexadecimal digits of a name.
const NAME: i64 = 64;
/// ER_XAER_NOTA: there is no such branch, or another session has it.
const ABSENT: &str = "1397";
/// First versions whose prepared branches outlive their connection and a crash.
const MYSQL_MIN: [u32; 3] = [8, 0, 30];
const MARIADB_MIN: [u32; 3] = [10, 5, 0];

fn id(name: &str) -> String {
    format!("'{name}','{QUALIFIER}',1")
}

impl Branches for Xa {
    fn begin(&self, name: &str) -> String {
        format!("XA START {}", id(name))
    }

    fn prepare(&self, name: &str) -> Vec<String> {
        vec![format!("XA END {}", id(name)), format!("XA PREPARE {}", id(name))]
    }

    fn commit(&self, name: &str) -> String {
        format!("XA COMMIT {}", id(name))
    }

    fn roll_back(&self, name: &str) -> String {
        format!("XA ROLLBACK {}", id(name))
    }

    fn list(&self) -> &'static str {
        "XA RECOVER"
    }

    fn name_in(&self, row: &TextRow) -> Option<String> {
        let is_ours = number(row, 0)? == 1 && number(row, 1)? == NAME;
        let name = text(row, 3)?.strip_suffix(QUALIFIER).filter(|_| is_ours)?;
        Some(name.to_owned())
    }

    fn is_absent(&self, answer: &SqlError) -> bool {
        answer.code == ABSENT
    }

    fn limit_session(&self) -> &'static str {
        "SET SESSION wait_timeout = 20"
    }

    fn units_ddl(&self, quoted: &str) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS {quoted} (unit_name CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY, \
             connector VARCHAR(512) NOT NULL, written_at DATETIME(6) NULL) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"
        )
    }
}

/// Looks whether the server keeps prepared branches, and whether they may be listed.
pub(super) async fn check(session: &mut dyn Session) -> Result<(), Error> {
    let rows = session.rows("SELECT VERSION()").await.map_err(Error::at("reading the server's version"))?;
    let version = rows.first().and_then(|row| text(row, 0)).unwrap_or_default();
    if !keeps_branches(version) {
        let text = format!(
            "delivery.technique=xa needs MySQL 8.0.30 or MariaDB 10.5, the server is {version}; set delivery.technique=offset-table"
        );
        return Err(Error::Config { code: "MYSQL-0014", text });
    }
    match session.rows(XA.list()).await {
        Ok(_) => Ok(()),
        // MySQL answers a missing right with ER_XAER_RMERR.
        Err(answer) if matches!(answer.code.as_str(), "1401" | "1227") => {
            let text = format!(
                "XA RECOVER is refused ({}); run GRANT XA_RECOVER_ADMIN ON *.* for this user, or set delivery.technique=offset-table",
                answer.code
            );
            Err(Error::Config { code: "MYSQL-0015", text })
        }
        Err(answer) => Err(Error::at("listing prepared branches")(answer)),
    }
}

/// By the text of `VERSION()`, such as `8.0.36` or `10.11.6-MariaDB`. Some servers put `5.5.5-` before MariaDB's.
fn keeps_branches(version: &str) -> bool {
    let is_mariadb = version.to_ascii_lowercase().contains("mariadb");
    let text = version.strip_prefix("5.5.5-").filter(|_| is_mariadb).unwrap_or(version);
    let mut parts = text.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    let numbers = [(); 3].map(|()| parts.next().unwrap_or(0));
    numbers >= if is_mariadb { MARIADB_MIN } else { MYSQL_MIN }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_lose_branches_are_told_by_their_version() {
        for version in ["8.0.30", "8.0.36-28", "8.4.0", "9.7.4", "10.5.1-MariaDB", "5.5.5-10.11.6-MariaDB-0+deb12u1"] {
            assert!(keeps_branches(version), "{version}");
        }
        for version in ["8.0.29", "5.7.44-log", "10.4.34-MariaDB", "5.5.5-10.3.39-MariaDB", "", "x"] {
            assert!(!keeps_branches(version), "{version}");
        }
    }

    #[test]
    fn names_are_found_among_branches_of_others() {
        let row = |format: &str, gtrid: &str, data: String| -> TextRow {
            [format, gtrid, "2", &data].map(|cell| Some(cell.to_owned().into())).to_vec()
        };
        let name = "0123456789abcdef".repeat(4);
        assert_eq!(XA.name_in(&row("1", "64", format!("{name}ef"))).as_ref(), Some(&name));
        assert_eq!(XA.name_in(&row("2", "64", format!("{name}ef"))), None);
        assert_eq!(XA.name_in(&row("1", "63", format!("{name}ef"))), None);
        assert_eq!(XA.name_in(&row("1", "64", format!("{name}xy"))), None);
        assert_eq!(XA.name_in(&Vec::new()), None);
    }
}
