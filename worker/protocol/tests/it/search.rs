//! Visits every state that can be reached.
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Debug;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// Multiply and rotate: the keys are our own small states, and the default hasher is half of the run time.
#[derive(Default)]
pub(crate) struct Quick(u64);

impl Hasher for Quick {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }
    fn write_u8(&mut self, n: u8) {
        self.write_u64(n.into());
    }
    fn write_u32(&mut self, n: u32) {
        self.write_u64(n.into());
    }
    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(5) ^ n).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

/// A small world.
pub(crate) trait World {
    type State: Clone + Eq + Hash + Debug;

    fn start(&self) -> Self::State;
    /// What must hold in every state.
    fn check(&self, state: &Self::State) -> Result<(), String>;
    /// Every state that can follow, with the name of what happens; an error is a violation by the step itself.
    fn next(&self, state: &Self::State, to: &mut Vec<(&'static str, Self::State)>) -> Result<(), String>;
}

/// The number of states, or the shortest way to a violation.
pub(crate) fn search<W: World>(world: &W) -> Result<usize, String> {
    let mut index: HashMap<W::State, usize, BuildHasherDefault<Quick>> = HashMap::default();
    let mut all = vec![(world.start(), 0, "start")];
    index.insert(world.start(), 0);
    let (mut at, mut to) = (0, Vec::new());
    while at < all.len() {
        let state = all[at].0.clone();
        let ended = world.check(&state).and_then(|()| world.next(&state, &mut to));
        if let Err(violation) = ended {
            return Err(format!("{violation}: {}", way(&all, at)));
        }
        for (name, next) in to.drain(..) {
            if let Entry::Vacant(new) = index.entry(next) {
                all.push((new.key().clone(), at, name));
                new.insert(all.len() - 1);
            }
        }
        at += 1;
    }
    Ok(all.len())
}

fn way<S>(all: &[(S, usize, &'static str)], mut at: usize) -> String {
    let mut names = Vec::new();
    while at > 0 {
        names.push(all[at].2);
        at = all[at].1;
    }
    names.reverse();
    names.join(", ")
}
