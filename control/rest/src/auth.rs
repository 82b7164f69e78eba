//! Basic authentication, from the login file that Java's extension reads.
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use elasticflow_config::{Properties, Secret};
use std::path::Path;

/// Users and their passwords.
#[derive(Clone)]
pub struct Users(Vec<(String, Secret)>);

/// Why nobody could log in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// A file cannot be read.
    #[error("could not read {path}: {reason}")]
    Unreadable {
        /// Which file.
        path: String,
        /// Why.
        reason: String,
    },
    /// The login file has no entry of the form Java needs.
    #[error(
        "{0} has no entry KafkaConnect {{ org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule required file=\"<file of user=password lines>\"; }};"
    )]
    NoEntry(String),
    /// No user.
    #[error("{0} names no user; write one user=password a line")]
    NoUser(String),
}

impl Users {
    /// Reads a login file and the file of users it names.
    ///
    /// # Errors
    /// One of the files cannot be read or holds nothing.
    pub fn from_login_file(path: &Path) -> Result<Self, LoginError> {
        let shown = path.display().to_string();
        let login = read(path)?;
        let users = users_file(&login).ok_or(LoginError::NoEntry(shown))?;
        let users = path.parent().unwrap_or(Path::new("")).join(users);
        let shown = users.display().to_string();
        let lines = Properties::from_properties_text(&read(&users)?)
            .map_err(|e| LoginError::Unreadable { path: shown.clone(), reason: e.to_string() })?;
        let users: Vec<(String, Secret)> =
            lines.0.iter().map(|(user, password)| (user.clone(), Secret::new(password))).collect();
        if users.is_empty() { Err(LoginError::NoUser(shown)) } else { Ok(Self(users)) }
    }

    /// The user that an Authorization header names with the right password.
    pub(crate) fn admit(&self, authorization: Option<&str>) -> Option<String> {
        let (user, password) = basic_credentials(authorization?)?;
        // Every user is compared, so that the time tells nothing about which of them exist.
        let right =
            |found, (name, secret): &(String, Secret)| found | (same(name, &user) & same(secret.expose(), &password));
        self.0.iter().fold(false, right).then_some(user)
    }
}

/// User and password of a Basic header.
pub(crate) fn basic_credentials(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.trim().split_once(' ')?;
    let decoded = STANDARD.decode(encoded.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let text = String::from_utf8(decoded).ok()?;
    text.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

/// Compares in a time that does not depend on where the texts differ.
fn same(a: &str, b: &str) -> bool {
    let differs = a.bytes().zip(b.bytes()).fold(a.len() ^ b.len(), |d, (x, y)| d | usize::from(x ^ y));
    differs == 0
}

fn read(path: &Path) -> Result<String, LoginError> {
    std::fs::read_to_string(path)
        .map_err(|e| LoginError::Unreadable { path: path.display().to_string(), reason: e.to_string() })
}

/// The `file="…"` of the login module in the entry `KafkaConnect`.
fn users_file(login: &str) -> Option<&str> {
    let (_, entry) = login.split_once("KafkaConnect")?;
    let (entry, _) = entry.split_once('}')?;
    let (_, module) = entry.split_once("PropertyFileLoginModule")?;
    let (_, value) = module.split_once("file")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start().strip_prefix('"')?;
    value.split_once('"').map(|(file, _)| file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> (tempfile::TempDir, Users) {
        let folder = tempfile::tempdir().unwrap();
        let login = "Other { x required; };\nKafkaConnect {\n org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule required\n file=\"users.properties\";\n};";
        std::fs::write(folder.path().join("login.conf"), login).unwrap();
        std::fs::write(folder.path().join("users.properties"), "u=p\nbob: se:cret").unwrap();
        let users = Users::from_login_file(&folder.path().join("login.conf")).unwrap();
        (folder, users)
    }

    #[test]
    fn only_the_right_password_of_a_user_is_admitted() {
        let (_folder, users) = users();
        let header = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert_eq!(users.admit(Some(&header("u:p"))).as_deref(), Some("u"));
        assert_eq!(users.admit(Some(&header("bob:se:cret"))).as_deref(), Some("bob"));
        for wrong in [
            header("u:x"),
            header("u:"),
            header("u"),
            header("x:p"),
            "Bearer dTpw".to_owned(),
            "Basic %%".to_owned(),
            String::new(),
        ] {
            assert_eq!(users.admit(Some(&wrong)), None, "{wrong}");
        }
        assert_eq!(users.admit(None), None);
    }

    #[test]
    fn a_login_file_without_the_entry_says_what_to_write() {
        let (folder, _) = users();
        let path = folder.path().join("users.properties");
        let error = Users::from_login_file(&path).err().unwrap();
        assert!(error.to_string().contains("PropertyFileLoginModule required file="), "{error}");
        assert!(Users::from_login_file(&folder.path().join("nope")).is_err());
    }
}
