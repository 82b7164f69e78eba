//! Sends a request until every item is settled.
use crate::answer::{self, Fate};
use crate::bulk::{Action, Item, Request};
use crate::client::{Call, Client, Reply};
use crate::error::Error;
use crate::index::Indices;
use elasticflow_api::RecordError;
use elasticflow_api::blame::FaultKind;
use elasticflow_api::context::{Lease, SinkFlow};
use elasticflow_api::error::Stage;
use elasticflow_api::sink::SinkRecord;
use reqwest::Method;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tracing::{debug, warn};

/// How often an answer that cannot be understood is asked for again.
const NOT_UNDERSTOOD_MAX: u32 = 2;

/// How far ahead of a record its document may stand after a failure: more records than this are never on their way.
const REPLAY_MAX: u64 = 1_000_000;

/// What requests share.
pub(crate) struct Sender {
    pub(crate) client: Client,
    pub(crate) indices: Indices,
    pub(crate) lease: Arc<dyn Lease>,
    /// Told why a request lasts.
    pub(crate) flow: Arc<dyn SinkFlow>,
    /// Most bytes of a request; halved when the server refuses one as too large.
    pub(crate) bulk_bytes: AtomicUsize,
    /// Path and query of `_bulk`.
    pub(crate) path: String,
}

/// How a request ended.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Records that will never be taken, and why.
    pub(crate) rejected: Vec<(SinkRecord, RecordError)>,
    /// Written by this request.
    pub(crate) written: u64,
    /// Written before.
    pub(crate) conflicts: u64,
    /// Dead letters that were put again and stand below what is there.
    pub(crate) superseded: Vec<SinkRecord>,
    /// Those of them that stand in a version which no replay of this topic explains.
    pub(crate) far_ahead: u64,
}

/// Where one request stands.
#[derive(Default)]
struct Progress {
    attempt: u32,
    overloads: u32,
    not_understood: u32,
    rejected: Vec<(usize, String)>,
    written: u64,
    conflicts: u64,
    superseded: BTreeSet<usize>,
    far_ahead: u64,
}

/// What follows from one attempt.
enum Next {
    /// The rest, after a wait.
    Later(Vec<usize>),
    /// Two halves.
    Halves(Vec<usize>),
    /// Nothing is left.
    Settled,
}

impl Sender {
    /// Sends a request until every item is settled.
    ///
    /// # Errors
    /// The destination does not answer or stays overloaded for longer than the sink waits; it refuses the whole request;
    /// the lease is gone. Some items may have been applied by then.
    pub(crate) async fn send(&self, request: Request) -> Result<Outcome, Error> {
        let mut progress = Progress::default();
        let mut parts = VecDeque::from([(0..request.items.len()).collect::<Vec<_>>()]);
        while let Some(part) = parts.pop_front() {
            let part: Vec<usize> =
                part.into_iter().filter(|i| request.items.get(*i).is_some_and(Item::is_owned)).collect();
            if part.is_empty() {
                continue;
            }
            match self.attempt(&request, part, &mut progress).await? {
                Next::Settled => {}
                Next::Later(rest) => {
                    self.client.pause(progress.attempt).await;
                    progress.attempt += 1;
                    parts.push_front(rest);
                }
                Next::Halves(rest) => {
                    let (first, second) = rest.split_at(rest.len() / 2);
                    parts.push_front(second.to_vec());
                    parts.push_front(first.to_vec());
                }
            }
        }
        Ok(progress.outcome(request))
    }

    async fn attempt(&self, request: &Request, part: Vec<usize>, progress: &mut Progress) -> Result<Next, Error> {
        if !self.lease.valid() {
            return Err(Error::Fenced);
        }
        let call = Call {
            method: Method::POST,
            path: self.path.clone(),
            content_type: "application/x-ndjson",
            body: Some(request.body_of(&part)),
        };
        let reply = match self.client.ask(&call).await {
            Ok(reply) => reply,
            Err(silence) if silence.for_ >= self.client.patience().silence_max => return Err(silence.into_error()),
            Err(_) => return Ok(Next::Later(part)),
        };
        match reply.status {
            200 => self.settle(request, part, &reply, progress).await,
            413 => Ok(self.too_large(request, part, progress)),
            _ if reply.is_overload() => {
                self.overloaded(&reply.url, reply.status, progress)?;
                Ok(Next::Later(part))
            }
            _ => Err(reply.refusal()),
        }
    }

    fn overloaded(&self, url: &str, status: u16, progress: &mut Progress) -> Result<(), Error> {
        progress.overloads += 1;
        if progress.overloads > self.client.patience().overloads_max {
            return Err(Error::Overloaded { url: url.to_owned(), status, attempts: progress.overloads });
        }
        self.flow.waiting(&format!("{url} answers {status}"));
        debug!(url, status, attempt = progress.overloads, "elasticsearch is overloaded; waiting");
        Ok(())
    }

    /// A single document that is too large never fits; several are sent in halves, and smaller from then on.
    fn too_large(&self, request: &Request, part: Vec<usize>, progress: &mut Progress) -> Next {
        let bytes: usize = part.iter().filter_map(|i| request.items.get(*i)).map(|item| item.lines.len()).sum();
        if let [single] = part.as_slice() {
            progress.rejected.push((*single, format!("ES-0023: document of {bytes} bytes exceeds the server's limit")));
            return Next::Settled;
        }
        let half = (bytes / 2).max(1);
        let before = self.bulk_bytes.fetch_min(half, Ordering::Relaxed);
        if before > half {
            warn!(bytes = half, "the server refuses requests of this size (413); requests are made smaller");
        }
        Next::Halves(part)
    }

    async fn settle(
        &self,
        request: &Request,
        part: Vec<usize>,
        reply: &Reply,
        progress: &mut Progress,
    ) -> Result<Next, Error> {
        let answers = match answer::read(&reply.body, part.len()) {
            Ok(answers) => answers,
            Err(_) if progress.not_understood < NOT_UNDERSTOOD_MAX => {
                progress.not_understood += 1;
                return Ok(Next::Later(part));
            }
            Err(detail) => return Err(Error::NotUnderstood { url: reply.url.clone(), detail }),
        };
        let (mut again, mut missing, mut overload, mut blocked) = (Vec::new(), BTreeSet::new(), None, None);
        for (i, answer) in part.iter().zip(answers) {
            let Some(item) = request.items.get(*i) else { continue };
            match answer.fate(item.action.is_delete()) {
                Fate::Done => progress.written += 1,
                Fate::AlreadyApplied { .. } if item.action == Action::Upsert => again.push(*i),
                Fate::AlreadyApplied { current } => {
                    progress.conflicts += 1;
                    if item.record.origin.replay.is_some() && is_newer(current, item.action) {
                        progress.superseded.insert(*i);
                    }
                    progress.far_ahead += u64::from(is_far_ahead(current, item.action));
                }
                Fate::Again { status } => {
                    overload = Some(status);
                    again.push(*i);
                }
                Fate::Blocked(reason) => {
                    blocked = Some((item.index.to_string(), reason));
                    again.push(*i);
                }
                Fate::IndexMissing => {
                    missing.insert(Arc::clone(&item.index));
                    again.push(*i);
                }
                Fate::Refused(reason) => progress.rejected.push((*i, format!("index {}: {reason}", item.index))),
                Fate::Forbidden { status, kind, reason } => {
                    return Err(Error::Refused { url: reply.url.clone(), status, kind, reason });
                }
            }
        }
        if again.is_empty() {
            return Ok(Next::Settled);
        }
        if again.len() < part.len() {
            // Something went through: the destination works, so the count begins anew.
            (progress.attempt, progress.overloads) = (0, 0);
        }
        if let Some((index, reason)) = blocked {
            if progress.overloads >= self.client.patience().overloads_max {
                return Err(Error::Blocked { index, reason });
            }
            self.flow.waiting(&format!("ES-0020: index {index} is blocked for writes: {reason}"));
            if progress.overloads == 0 {
                warn!(index, reason, code = "ES-0020", "the index is blocked for writes; waiting");
            }
            progress.overloads += 1;
        } else {
            self.overloaded(&reply.url, overload.unwrap_or(404), progress)?;
        }
        for index in missing {
            self.indices.create_again(&self.client, &index).await?;
        }
        Ok(Next::Later(in_order(request, &part, again)))
    }
}

/// Whether what is there is not this record itself, applied before.
fn is_newer(current: Option<u64>, action: Action) -> bool {
    let (Action::Index { version } | Action::Delete { version }) = action else { return false };
    current.is_none_or(|current| current > version)
}

/// Whether the version that is there is further ahead than a replay after a failure leaves it.
fn is_far_ahead(current: Option<u64>, action: Action) -> bool {
    match (current, action) {
        (Some(current), Action::Index { version } | Action::Delete { version }) => {
            current.saturating_sub(version) > REPLAY_MAX
        }
        _ => false,
    }
}

/// Writes without a version keep their order: from the first that must be sent again, all are.
fn in_order(request: &Request, part: &[usize], again: Vec<usize>) -> Vec<usize> {
    let unversioned = |i: &usize| {
        request.items.get(*i).is_some_and(|item| matches!(item.action, Action::Upsert | Action::DeleteUnversioned))
    };
    match again.iter().copied().find(unversioned) {
        Some(first) => part.iter().copied().filter(|i| *i >= first || again.contains(i)).collect(),
        None => again,
    }
}

impl Progress {
    fn outcome(self, request: Request) -> Outcome {
        let mut reasons: std::collections::HashMap<usize, String> = self.rejected.into_iter().collect();
        let (written, conflicts, far_ahead) = (self.written, self.conflicts, self.far_ahead);
        let mut outcome = Outcome { written, conflicts, far_ahead, ..Outcome::default() };
        for (i, item) in request.items.into_iter().enumerate() {
            if let Some(reason) = reasons.remove(&i) {
                outcome.rejected.push((item.record, blamed(reason)));
            } else if self.superseded.contains(&i) {
                outcome.superseded.push(item.record);
            }
        }
        outcome
    }
}

/// The server's words tell what is wrong and with which field.
fn blamed(reason: String) -> RecordError {
    let kind = match reason.as_str() {
        r if r.contains("ES-0023") || r.contains("Limit of total fields") => FaultKind::Size,
        r if r.contains("strict_dynamic_mapping") || r.contains("illegal_argument") => FaultKind::Schema,
        r if r.contains("mapper_parsing") || r.contains("document_parsing") => FaultKind::Conversion,
        _ => FaultKind::Other,
    };
    let after = ["failed to parse field [", "dynamic introduction of [", "mapper ["];
    let field = after.iter().find_map(|words| reason.split_once(words)?.1.split_once(']'));
    let field = field.map(|(name, _)| name.to_owned());
    RecordError { stage: Stage::TaskPut, reason, source: None }.blaming(kind, field, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_kind_and_field() {
        for (reason, kind, field) in [
            (
                "index i: 400 mapper_parsing_exception: failed to parse field [n] of type [long]",
                "conversion",
                Some("n"),
            ),
            (
                "index i: 400 strict_dynamic_mapping_exception: mapping set to strict, dynamic introduction of [z] within",
                "schema",
                Some("z"),
            ),
            ("ES-0023: document of 9 bytes exceeds the server's limit", "size", None),
            ("index i: 400 x: y", "other", None),
        ] {
            let error = blamed(reason.to_owned());
            assert_eq!((error.kind().name(), error.blame().unwrap().field.as_deref()), (kind, field), "{reason}");
        }
    }
}
