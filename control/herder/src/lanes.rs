//! One change of a connector at a time, in the order in which they were asked for.
use crate::command::Command;
use elasticflow_config::Properties;
use std::collections::{BTreeMap, VecDeque};

/// Changes of all connectors together that may wait for their turn.
const WAITING_MAX: usize = 4096;

/// Something that writes to the config topic on behalf of one connector.
pub(crate) enum Turn {
    /// Asked for by a user.
    Command(Command),
    /// A plan of tasks to store, if the configuration is still the one that was planned.
    Tasks {
        /// Revision of the configuration.
        revision: i64,
        /// Task configurations.
        tasks: Vec<Properties>,
    },
    /// A pause for an error budget that is used up, if the connector is still to run.
    Pause,
    /// The end of a fencing round, if the set of tasks is still the one that it was for.
    Fencing {
        /// Revision of the set.
        revision: i64,
    },
}

/// Whether a turn goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It ends with an event.
    Busy,
    /// It has ended.
    Done,
}

/// Lanes of connectors that have a turn under way.
#[derive(Default)]
pub(crate) struct Lanes {
    lanes: BTreeMap<String, VecDeque<Turn>>,
    waiting: usize,
}

impl Lanes {
    /// Takes a turn to carry out at once, or keeps it until the lane is free.
    ///
    /// # Errors
    /// The turn, when too many wait.
    pub(crate) fn enter(&mut self, name: &str, turn: Turn) -> Result<Option<Turn>, Turn> {
        let Some(lane) = self.lanes.get_mut(name) else {
            self.lanes.insert(name.to_owned(), VecDeque::new());
            return Ok(Some(turn));
        };
        if self.waiting >= WAITING_MAX {
            return Err(turn);
        }
        self.waiting += 1;
        lane.push_back(turn);
        Ok(None)
    }

    /// The next turn of a lane; without one the lane is free.
    pub(crate) fn leave(&mut self, name: &str) -> Option<Turn> {
        let next = self.lanes.get_mut(name)?.pop_front();
        match next {
            Some(_) => self.waiting -= 1,
            None => drop(self.lanes.remove(name)),
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(revision: i64) -> Turn {
        Turn::Fencing { revision }
    }

    fn number(turn: Option<Turn>) -> Option<i64> {
        turn.map(|t| match t {
            Turn::Fencing { revision } => revision,
            _ => panic!("no other kind was entered"),
        })
    }

    #[test]
    fn turns_of_a_connector_follow_each_other_and_others_do_not_wait() {
        let mut lanes = Lanes::default();
        assert_eq!(number(lanes.enter("a", turn(1)).ok().flatten()), Some(1));
        assert_eq!(number(lanes.enter("a", turn(2)).ok().flatten()), None);
        assert_eq!(number(lanes.enter("b", turn(3)).ok().flatten()), Some(3));
        assert_eq!(number(lanes.leave("a")), Some(2));
        assert_eq!(number(lanes.leave("a")), None);
        assert_eq!(number(lanes.enter("a", turn(4)).ok().flatten()), Some(4));
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut lanes = Lanes::default();
        for n in 0..=WAITING_MAX {
            assert!(lanes.enter("a", turn(n as i64)).is_ok());
        }
        assert!(lanes.enter("a", turn(-1)).is_err());
    }
}
