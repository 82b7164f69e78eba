//! Who is let in: everybody, the users of Java's login file, or the callers of an access file.
use crate::access::{AccessFile, Credentials, Grant, Role};
use crate::answer::Answer;
use crate::auth::Users;
use crate::connections::Peer;
use crate::problem::Problem;
use crate::reloaded::Reloaded;
use crate::resource::Resource;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use std::path::Path;
use std::sync::Arc;

/// Decides who may call.
#[derive(Clone, Default)]
pub enum Guard {
    /// Everybody may do everything.
    #[default]
    Open,
    /// Kafka Connect's basic authentication: every user may do everything.
    Users(Users),
    /// Roles.
    Access(AccessRules),
}

/// The rules of `rest.access.file`.
#[derive(Clone)]
pub struct AccessRules(Arc<Reloaded<AccessFile>>);

impl AccessRules {
    /// Reads the file; it is read again when it changes.
    ///
    /// # Errors
    /// The file and every problem in it.
    pub fn read(file: &str) -> Result<Self, String> {
        let path = Path::new(file).to_path_buf();
        let read = {
            let path = path.clone();
            move || {
                let text =
                    std::fs::read_to_string(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
                AccessFile::parse(&text).map_err(|problems| format!("{}: {problems}", path.display()))
            }
        };
        Reloaded::new("rest.access.file", vec![path], read).map(|file| Self(Arc::new(file)))
    }
}

/// Why a caller is not let in.
pub(crate) enum Denied {
    /// Nobody is known by these credentials.
    Unknown(Answer),
    /// A known caller may not do this.
    Forbidden(Arc<Grant>, Problem),
}

impl Guard {
    /// Whether callers must prove who they are.
    pub fn is_closed(&self) -> bool {
        !matches!(self, Self::Open)
    }

    /// The caller, if it may do what it asks for.
    pub(crate) fn admit(
        &self,
        (resource, method): (&Resource, &Method),
        headers: &HeaderMap,
        peer: Option<&Peer>,
    ) -> Result<Arc<Grant>, Denied> {
        let authorization = headers.get(AUTHORIZATION).and_then(|h| h.to_str().ok());
        match self {
            Self::Open => Ok(Grant::all("anybody")),
            // They have signatures of their own.
            _ if resource.is_internal(method.as_str()) => Ok(Grant::all("another worker")),
            Self::Users(users) => users.admit(authorization).map(|user| Grant::all(&user)).ok_or_else(unknown),
            Self::Access(_) if *resource == Resource::Health => Ok(Grant::all("anybody")),
            Self::Access(rules) => {
                let common_name = peer.and_then(|peer| peer.common_name.as_deref());
                let caller = rules.0.current().caller(&Credentials { authorization, common_name });
                let caller = caller.ok_or_else(|| challenged(unknown()))?;
                may(&caller, resource, method).map_err(|problem| Denied::Forbidden(Arc::clone(&caller), problem))?;
                Ok(caller)
            }
        }
    }
}

/// Whether the role and the patterns of a caller cover a request.
fn may(caller: &Grant, resource: &Resource, method: &Method) -> Result<(), Problem> {
    let needed = Role::needed(resource, method);
    if caller.role < needed {
        let (name, role, needed) = (&caller.name, caller.role.name(), needed.name());
        return Err(forbidden(format!("{name} has the role {role}; this takes the role {needed}")));
    }
    match resource.connector() {
        Some(connector) => may_touch(caller, connector),
        None => Ok(()),
    }
}

/// Whether a connector is one of a caller's.
pub(crate) fn may_touch(caller: &Grant, connector: &str) -> Result<(), Problem> {
    if caller.sees(connector) {
        return Ok(());
    }
    Err(forbidden(format!("the connectors of {} do not include {connector}", caller.name)))
}

fn forbidden(text: String) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, text)
}

/// Connect's answer.
fn unknown() -> Denied {
    let text = "User cannot access the resource.";
    Denied::Unknown(Answer::text(StatusCode::UNAUTHORIZED, "application/json", text))
}

/// With the header that makes browsers ask for a password.
fn challenged(denied: Denied) -> Denied {
    match denied {
        Denied::Unknown(answer) => {
            let challenge = HeaderValue::from_static("Basic realm=\"elasticflow\", Bearer realm=\"elasticflow\"");
            Denied::Unknown(answer.with(WWW_AUTHENTICATE, challenge))
        }
        other => other,
    }
}
