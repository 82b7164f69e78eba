//! Who may do what: roles, and the connectors that a role holds for.
//!
//! A caller is known by a password, a bearer token or a certificate of the file `rest.access.file`; the file is read again
//! when it changes. Roles contain each other: a viewer reads, an operator also pauses, resumes, stops and restarts, an
//! editor also creates, changes and deletes, an admin also sets log levels and drains workers. A caller sees and touches the connectors whose
//! names fit one of its patterns, and no others.
use crate::resource::Resource;
use axum::http::Method;
use elasticflow_config::{Properties, Secret};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a caller may do, each more than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Pauses, resumes, stops, restarts.
    Operator,
    /// Creates, changes, deletes, alters offsets.
    Editor,
    /// Sets log levels, drains workers.
    Admin,
}

impl Role {
    const NAMES: [(&'static str, Self); 4] =
        [("viewer", Self::Viewer), ("operator", Self::Operator), ("editor", Self::Editor), ("admin", Self::Admin)];

    fn named(text: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(name, _)| *name == text.trim()).map(|(_, role)| *role)
    }

    /// As in the file and in messages.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, role)| *role == self).map_or("", |(name, _)| name)
    }

    /// The role that a request takes.
    pub(crate) fn needed(resource: &Resource, method: &Method) -> Self {
        if [Method::GET, Method::HEAD, Method::OPTIONS].contains(method) {
            return Self::Viewer;
        }
        match resource {
            Resource::Logger(_)
            | Resource::Drain(_)
            | Resource::Undrain(_)
            | Resource::Pool(_)
            | Resource::FlowHookTest(_) => Self::Admin,
            Resource::Pause(_)
            | Resource::Resume(_)
            | Resource::Stop(_)
            | Resource::Restart(_)
            | Resource::TaskRestart(..)
            | Resource::ErrorsReplay(_)
            | Resource::ErrorsDiscard(_)
            | Resource::FlowBreaker(_)
            | Resource::FlowAlertAck(_)
            | Resource::ErrorsBudgetReset(_)
            | Resource::BatchAbort(_)
            | Resource::TopicsReset(_) => Self::Operator,
            _ => Self::Editor,
        }
    }
}

/// What one caller may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    /// For the audit log and messages.
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Patterns with `*`; any of them.
    connectors: Vec<String>,
}

impl Grant {
    /// Everything, for a caller whom nothing restricts.
    pub(crate) fn all(name: &str) -> Arc<Self> {
        Arc::new(Self { name: name.to_owned(), role: Role::Admin, connectors: vec!["*".to_owned()] })
    }

    /// Whether a connector exists for this caller.
    pub(crate) fn sees(&self, connector: &str) -> bool {
        self.connectors.iter().any(|pattern| fits(pattern, connector))
    }
}

/// Whether a name fits a pattern in which `*` stands for any text.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or("")) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, inner)) = parts.split_last() else { return rest.is_empty() };
    for part in inner {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// How a caller proves who it is.
enum Proof {
    Password(Secret),
    /// SHA-256 of the password.
    PasswordHash([u8; 32]),
    /// SHA-256 of the token.
    Token([u8; 32]),
    /// Common name of a certificate that the truststore's authorities have signed.
    Certificate(String),
}

/// What a request carries to prove who sends it.
pub(crate) struct Credentials<'a> {
    pub(crate) authorization: Option<&'a str>,
    pub(crate) common_name: Option<&'a str>,
}

/// The callers of an access file.
pub(crate) struct AccessFile(Vec<(Arc<Grant>, Proof)>);

impl AccessFile {
    /// Reads `<caller>.<member>=<value>` lines.
    ///
    /// # Errors
    /// Every problem in one text, without secrets.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let properties = Properties::from_properties_text(text).map_err(|e| e.to_string())?;
        let mut callers: BTreeMap<&str, Properties> = BTreeMap::new();
        let mut problems = Vec::new();
        for (key, value) in &properties.0 {
            match key.split_once('.') {
                Some((caller, member)) if !caller.is_empty() => {
                    callers.entry(caller).or_default().0.insert(member.to_owned(), value.clone());
                }
                _ => problems.push(format!("{key}: expected <caller>.<member>, such as alice.role")),
            }
        }
        let mut known = Vec::new();
        for (name, members) in &callers {
            match caller(name, members) {
                Ok(caller) => known.push(caller),
                Err(problem) => problems.push(problem),
            }
        }
        if known.is_empty() && problems.is_empty() {
            problems.push("it names no caller; write lines such as alice.password=..., alice.role=viewer".to_owned());
        }
        if problems.is_empty() { Ok(Self(known)) } else { Err(problems.join("; ")) }
    }

    /// The caller that the credentials prove. Every caller is looked at, so that the time tells nothing.
    pub(crate) fn caller(&self, credentials: &Credentials<'_>) -> Option<Arc<Grant>> {
        let basic = credentials.authorization.and_then(crate::auth::basic_credentials);
        let token = credentials.authorization.and_then(|header| {
            let (scheme, token) = header.trim().split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| hash(token.trim()))
        });
        let basic_hash = basic.as_ref().map(|(_, password)| hash(password));
        let mut found = None;
        for (grant, proof) in &self.0 {
            let proven = match (proof, &basic) {
                (Proof::Password(secret), Some((user, _))) => {
                    let right = basic_hash.is_some_and(|given| same(&given, &hash(secret.expose())));
                    (*user == grant.name) & right
                }
                (Proof::PasswordHash(wanted), Some((user, _))) => {
                    (*user == grant.name) & basic_hash.is_some_and(|given| same(&given, wanted))
                }
                (Proof::Token(wanted), _) => token.is_some_and(|given| same(&given, wanted)),
                (Proof::Certificate(name), _) => credentials.common_name == Some(name),
                (Proof::Password(_) | Proof::PasswordHash(_), None) => false,
            };
            if proven {
                found = Some(Arc::clone(grant));
            }
        }
        found
    }
}

fn caller(name: &str, members: &Properties) -> Result<(Arc<Grant>, Proof), String> {
    const KNOWN: [&str; 7] =
        ["password", "password.sha256", "token", "token.sha256", "certificate.common.name", "role", "connectors"];
    if let Some(unknown) = members.0.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Err(format!("{name}.{unknown}: unknown; known are {}", KNOWN.join(", ")));
    }
    let role = members
        .value("role")
        .ok_or_else(|| format!("{name}.role is missing; give viewer, operator, editor or admin"))?;
    let role = Role::named(role).ok_or_else(|| format!("{name}.role is none of viewer, operator, editor, admin"))?;
    let connectors = elasticflow_config::check::list(members.value("connectors").unwrap_or("*"));
    let connectors = connectors.into_iter().map(str::to_owned).collect();
    let mut proofs = Vec::new();
    for key in KNOWN.iter().take(5) {
        let Some(value) = members.value(key).map(str::trim) else { continue };
        if value.is_empty() {
            return Err(format!("{name}.{key} is empty"));
        }
        let digest = || {
            digest(value).ok_or_else(|| format!("{name}.{key} is no SHA-256 in hexadecimal, as `sha256sum` prints it"))
        };
        proofs.push(match *key {
            "password" => Proof::Password(Secret::new(value)),
            "password.sha256" => Proof::PasswordHash(digest()?),
            "token" => Proof::Token(hash(value)),
            "token.sha256" => Proof::Token(digest()?),
            _ => Proof::Certificate(value.to_owned()),
        });
    }
    let proof = proofs.pop().filter(|_| proofs.is_empty()).ok_or_else(|| {
        format!("{name}: give exactly one of {}", KNOWN.iter().take(5).copied().collect::<Vec<_>>().join(", "))
    })?;
    Ok((Arc::new(Grant { name: name.to_owned(), role, connectors }), proof))
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// Compares in a time that does not depend on where the digests differ.
fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.iter().zip(b).fold(0, |differs, (x, y)| differs | (x ^ y)) == 0
}

fn digest(text: &str) -> Option<[u8; 32]> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let bytes: Vec<u8> = digits?.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, d| byte * 16 + d)).collect();
    bytes.try_into().ok().filter(|_| text.len() == 64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    fn file() -> AccessFile {
        let text = "alice.password=wonder:land\nalice.role=editor\nalice.connectors=orders-*,x\n\
                    ci.token.sha256=3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0\nci.role=operator\n\
                    team.certificate.common.name=team-1\nteam.role=viewer\n";
        AccessFile::parse(text).unwrap()
    }

    fn name_of(authorization: &str, common_name: Option<&str>) -> Option<String> {
        let credentials = Credentials { authorization: Some(authorization), common_name };
        file().caller(&credentials).map(|grant| grant.name.clone())
    }

    #[test]
    fn passwords_tokens_and_certificates_prove_a_caller() {
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert_eq!(name_of(&basic("alice:wonder:land"), None).as_deref(), Some("alice"));
        // SHA-256 of "token".
        assert_eq!(name_of("bearer token", None).as_deref(), Some("ci"));
        assert_eq!(name_of("", Some("team-1")).as_deref(), Some("team"));
        for wrong in
            [basic("alice:x"), basic("ci:token"), "Bearer x".to_owned(), "Bearer ".to_owned(), "Basic".to_owned()]
        {
            assert_eq!(name_of(&wrong, Some("other")), None, "{wrong}");
        }
    }

    #[test]
    fn patterns_stand_for_any_text() {
        for (pattern, name, is_fit) in [
            ("*", "", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*b", "ab", true),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1c2b", false),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(fits(pattern, name), is_fit, "{pattern} {name}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_at_once_and_without_secrets() {
        let text = "a.password=hunter2\nb.password=hunter2\nb.role=king\nc.role=viewer\nd.token.sha256=hunter2\nd.role=viewer\ne=1\nf.pasword=hunter2";
        let problem = AccessFile::parse(text).err().unwrap();
        for part in [
            "a.role is missing",
            "b.role is none",
            "c: give exactly one",
            "d.token.sha256 is no",
            "e: expected",
            "f.pasword: unknown",
        ] {
            assert!(problem.contains(part), "{part}: {problem}");
        }
        assert!(!problem.contains("hunter2"), "{problem}");
        assert!(AccessFile::parse("").is_err());
    }
}
