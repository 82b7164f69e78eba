//! The order in which an owner begins, and in which partitions that come later are taken over.

/// A step, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Older owners of the transactional id are fenced and their last transaction has ended.
    Fenced,
    /// Group offsets were read stable: nothing that moves them is undecided.
    Offsets,
    /// Decisions were read to the high watermark.
    Decisions,
    /// The claim is written.
    Claimed,
    /// Every decided unit of these partitions is committed.
    Adopted,
    /// Undecided units of older owners are removed.
    Cleaned,
}

impl Step {
    /// The order.
    pub const ORDER: [Self; 6] =
        [Self::Fenced, Self::Offsets, Self::Decisions, Self::Claimed, Self::Adopted, Self::Cleaned];
}

/// A step that came too early or again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfOrder {
    /// The last step that was done.
    pub after: Option<Step>,
    /// The step that must not follow it.
    pub step: Step,
}

impl std::fmt::Display for OutOfOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "step {:?} of a take-over must not follow {:?}", self.step, self.after)
    }
}

impl std::error::Error for OutOfOrder {}

/// Watches the order of one owner's take-overs.
#[derive(Debug, Default, Clone, Copy)]
pub struct TakeOver {
    done: Option<Step>,
}

impl TakeOver {
    /// Notes a step.
    ///
    /// # Errors
    /// It is not the next one.
    pub fn reached(&mut self, step: Step) -> Result<(), OutOfOrder> {
        let next = match self.done {
            None => Step::Fenced,
            // Fencing is done once; every further round of partitions begins with their offsets.
            Some(Step::Cleaned) => Step::Offsets,
            Some(done) => Step::ORDER.into_iter().find(|s| *s > done).unwrap_or(Step::Offsets),
        };
        if step != next {
            return Err(OutOfOrder { after: self.done, step });
        }
        self.done = Some(step);
        Ok(())
    }

    /// Whether records may be read: the last round is complete.
    pub fn is_complete(&self) -> bool {
        self.done == Some(Step::Cleaned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_partitions_go_the_same_way_without_fencing_again() {
        let mut order = TakeOver::default();
        for step in Step::ORDER.into_iter().chain(Step::ORDER.into_iter().skip(1)) {
            assert!(order.reached(step).is_ok(), "{step:?}");
        }
        assert!(order.is_complete());
        assert!(order.reached(Step::Fenced).is_err());
    }

    #[test]
    fn no_step_comes_early_and_none_is_left_out() {
        for skipped in 0..Step::ORDER.len() - 1 {
            let mut order = TakeOver::default();
            Step::ORDER.into_iter().take(skipped).for_each(|s| order.reached(s).unwrap());
            assert!(!order.is_complete());
            let early = Step::ORDER[skipped + 1];
            assert_eq!(order.reached(early).unwrap_err().step, early);
        }
    }
}
