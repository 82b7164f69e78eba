//! Slots that were gained and must not be acted upon yet.
//!
//! A worker that was away may hold a slot again before it has read what has become of the mapping meanwhile: by the mapping
//! that it knows, a task that has long moved would be its own. Who had the slot before may have stopped that task, and the
//! worker that it moved to does not know of this one. So a slot that was gained counts once the config topic has been read to
//! an end that was asked for after the slot was gained.
use crate::ports::Leases;
use elasticflow_plan::place::Slot;
use elasticflow_store::config::WriteToken;
use std::collections::BTreeMap;

/// Slots that were gained, and what each waits for.
#[derive(Debug, Default)]
pub(crate) struct Fresh {
    /// The request for the end of the config topic; `None` before there is one.
    slots: BTreeMap<Slot, Option<WriteToken>>,
}

impl Fresh {
    /// The leases have changed: a slot that was lost and gained in between is as fresh as one that was never held.
    pub(crate) fn change(&mut self, before: &Leases, now: &Leases) {
        self.slots.retain(|slot, _| now.slots.contains(slot));
        let stayed = |slot: &&Slot| before.slots.contains(*slot) && before.gained.get(slot) == now.gained.get(slot);
        self.slots.extend(now.slots.iter().filter(|slot| !stayed(slot)).map(|slot| (*slot, None)));
    }

    /// Whether a slot must not be acted upon yet.
    pub(crate) fn contains(&self, slot: Slot) -> bool {
        self.slots.contains_key(&slot)
    }

    /// Whether the end of the config topic has to be asked for.
    pub(crate) fn is_waiting(&self) -> bool {
        self.slots.values().any(Option::is_none)
    }

    /// The end of the config topic was asked for.
    pub(crate) fn asked(&mut self, token: WriteToken) {
        self.slots.values_mut().filter(|waits| waits.is_none()).for_each(|waits| *waits = Some(token));
    }

    /// The end that was asked for is reached; whether a slot counts from here on.
    pub(crate) fn caught_up(&mut self, token: WriteToken) -> bool {
        let before = self.slots.len();
        self.slots.retain(|_, waits| waits.is_none_or(|asked| asked > token));
        self.slots.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leases(of: &[(Slot, u64)]) -> Leases {
        Leases {
            slots: of.iter().map(|(slot, _)| *slot).collect(),
            gained: of.iter().copied().collect(),
            ..Leases::default()
        }
    }

    #[test]
    fn a_slot_counts_once_the_end_that_was_asked_for_after_it_was_gained_is_reached() {
        let (first, second) = (leases(&[(1, 1), (2, 1)]), leases(&[(1, 1), (2, 1), (3, 2)]));
        let mut fresh = Fresh::default();
        fresh.change(&Leases::default(), &first);
        fresh.asked(WriteToken(7));
        fresh.change(&first, &second);
        assert!(fresh.is_waiting());
        assert!(fresh.caught_up(WriteToken(7)));
        assert!(!fresh.contains(1) && !fresh.contains(2) && fresh.contains(3));
        fresh.asked(WriteToken(8));
        assert!(fresh.caught_up(WriteToken(8)) && !fresh.contains(3));
    }

    #[test]
    fn an_end_that_was_asked_for_before_a_slot_came_back_does_not_count_for_it() {
        let mut fresh = Fresh::default();
        fresh.change(&Leases::default(), &leases(&[(1, 1)]));
        fresh.asked(WriteToken(7));
        // Lost and gained again before anybody looked.
        fresh.change(&leases(&[(1, 1)]), &leases(&[(1, 3)]));
        fresh.asked(WriteToken(9));
        assert!(!fresh.caught_up(WriteToken(7)) && fresh.contains(1));
        assert!(fresh.caught_up(WriteToken(9)) && !fresh.contains(1));
    }
}
