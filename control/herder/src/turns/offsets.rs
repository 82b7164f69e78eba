//! Positions: read, altered, and looked at for records that are gone.
use crate::command::{Alter, Answer};
use crate::error::HerderError;
use crate::herder::{Done, Herder, Then, reply};
use crate::lanes::Progress;
use crate::options::ExactlyOnce;
use crate::ports::TaskKind;
use crate::positions::Subject;
use elasticflow_plan::restart::Request;
use elasticflow_protocol::Loss;
use elasticflow_store::config::{ConfigRecord, TargetState};
use std::sync::Arc;

/// External versions give the epoch 15 bits.
const VERSION_EPOCH_MAX: u16 = (1 << 15) - 1;

impl Herder {
    pub(super) fn read_offsets(&mut self, name: &str, answer: Answer<crate::answer::ConnectorOffsets>) {
        let Some(subject) = self.subject(name) else {
            return reply(answer, Err(HerderError::no_connector(name)));
        };
        let positions = Arc::clone(&self.positions);
        self.jobs.spawn(async move { Done::Read { outcome: positions.read(&subject).await, answer } });
    }

    pub(super) fn look_for_loss(&mut self, name: &str, answer: Answer<Loss>) {
        let Some(subject) = self.subject(name) else {
            return reply(answer, Err(HerderError::no_connector(name)));
        };
        let positions = Arc::clone(&self.positions);
        self.jobs.spawn(async move { Done::Lost { outcome: positions.loss(&subject).await, answer } });
    }

    fn subject(&self, name: &str) -> Option<Subject> {
        let config = Arc::clone(&self.state.connector(name)?.config);
        Some(Subject { name: name.to_owned(), config, most_tasks: self.state.fencing(name).most })
    }

    pub(super) fn alter(&mut self, name: &str, alter: Alter, answer: Answer<String>) -> Progress {
        let sink = match self.alterable(name, &alter) {
            Ok(sink) => sink,
            Err(refused) => {
                reply(answer, Err(refused));
                return Progress::Done;
            }
        };
        if !sink {
            return self.alter_now(name, alter, answer);
        }
        let epoch = self.state.version_epoch(name);
        if epoch >= VERSION_EPOCH_MAX {
            let text = "the offsets of this connector have been altered too often: create it under another name";
            reply(answer, Err(HerderError::Failed(text.to_owned())));
            return Progress::Done;
        }
        // Raised first: a crash in between costs a number, the other order could hide rewritten records.
        let row = ConfigRecord::VersionEpoch { name: name.to_owned(), epoch: epoch + 1 };
        self.write(name, vec![row], Then::Alter { alter, answer })
    }

    /// Whether positions can be altered; true for a sink.
    fn alterable(&self, name: &str, alter: &Alter) -> Result<bool, HerderError> {
        let connector = self.state.connector(name).ok_or_else(|| HerderError::no_connector(name))?;
        let is_stopped = connector.target == TargetState::Stopped && connector.tasks.is_empty();
        if alter.after_loss {
            let all = self.covered(name, Request { include_tasks: true, only_failed: true }).tasks.len();
            if all < connector.tasks.len() || is_stopped && self.runs_anywhere(name) {
                return Err(HerderError::Conflict(format!(
                    "connector {name} has tasks that have not failed, and go on with the partitions: wait until all have failed, or stop it with PUT /connectors/{name}/stop"
                )));
            }
        } else if !is_stopped || self.runs_anywhere(name) {
            return Err(HerderError::BadRequest(format!(
                "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the specified connector by issuing a 'PUT' request to the '/connectors/{name}/stop' endpoint"
            )));
        }
        let sink = self.task_kind(connector) == Some(TaskKind::Sink);
        if let Some(changes) = alter.changes.as_deref().filter(|_| sink) {
            crate::sink_offsets::parse(changes)?;
        }
        Ok(sink)
    }

    pub(super) fn alter_now(&mut self, name: &str, alter: Alter, answer: Answer<String>) -> Progress {
        let Some(subject) = self.subject(name) else {
            reply(answer, Err(HerderError::no_connector(name)));
            return Progress::Done;
        };
        let positions = Arc::clone(&self.positions);
        self.jobs.spawn(async move {
            let outcome = positions.alter(&subject, &alter).await;
            Done::Altered { name: subject.name, outcome, answer }
        });
        Progress::Busy
    }

    /// Positions are altered; every former task is fenced by now, which the topic is told.
    pub(crate) fn on_altered(&mut self, name: &str, outcome: Result<String, HerderError>, answer: Answer<String>) {
        let fencing = self.state.fencing(name);
        let source = self.state.connector(name).is_some_and(|c| self.task_kind(c) == Some(TaskKind::Source));
        let exactly_once = self.cx.options.exactly_once == ExactlyOnce::Enabled;
        match outcome {
            Ok(text) if source && exactly_once && fencing.pending => {
                let row = ConfigRecord::Fencing { name: name.to_owned(), tasks: 0 };
                if self.write(name, vec![row], Then::Text { text, answer }) == Progress::Done {
                    self.leave(name);
                }
            }
            outcome => {
                reply(answer, outcome);
                self.leave(name);
            }
        }
    }
}
