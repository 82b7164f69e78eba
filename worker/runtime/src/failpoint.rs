//! Named places where a test may end, freeze or fail the process; see `docs/development/failpoints.md`.
//!
//! A point costs nothing unless the crate is built with the feature `failpoints`, and does nothing unless the environment
//! variable `ELASTICFLOW_FAILPOINTS` arms it.

/// Every name, so that a test can iterate over them; a point that is not listed does not compile.
pub const ALL: &[&str] = &[
    "source.init.before",
    "source.init.after",
    "source.offsets.read",
    "source.start.after",
    "source.poll.before",
    "source.poll.after",
    "source.begin.after",
    "source.send.some",
    "source.send.after",
    "source.offsets.sent",
    "source.commit.before",
    "source.commit.after",
    "source.committed.after",
    "source.batch.end.before",
    "source.batch.end.after",
    "sink.start.after",
    "sink.open.after",
    "sink.poll.after",
    "sink.put.before",
    "sink.put.after",
    "sink.flush.after",
    "sink.offsets.after",
    "sink.take_over.init",
    "sink.take_over.read",
    "sink.take_over.claim",
    "sink.take_over.adopt",
    "sink.take_over.abort",
    "sink.prepare.before",
    "sink.prepare.after",
    "sink.decide.before",
    "sink.decide.sent",
    "sink.decide.after",
    "sink.commit.after",
    "sink.forget.after",
    "sink.dead_letter.after",
    "sink.batch.staged",
    "sink.batch.publish.before",
    "sink.batch.publish.after",
    "sink.batch.published",
    "sink.batch.drop.before",
    "sink.revoke.before",
    "sink.revoke.after",
];

/// Environment variable that arms points.
pub const VARIABLE: &str = "ELASTICFLOW_FAILPOINTS";

/// What an armed point does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The process ends at once, as if by `kill -9` (the signal is SIGABRT).
    Kill,
    /// The task panics.
    Panic,
    /// The task is frozen for so many milliseconds and goes on.
    Hold(u64),
}

/// A parsed entry of the variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Armed {
    /// Name of the point.
    pub name: &'static str,
    /// What it does.
    pub action: Action,
    /// At which hit, from 1.
    pub hit: u64,
}

/// Reads the variable's text: `name=kill`, `name=kill@3`, `name=hold(500)@2`, `name=panic`, comma or semicolon between
/// entries; `exit` is another word for `kill`.
///
/// # Errors
/// What is wrong with it: an unknown name, action or number.
pub fn parse(text: &str) -> Result<Vec<Armed>, String> {
    text.split([',', ';']).map(str::trim).filter(|entry| !entry.is_empty()).map(parse_one).collect()
}

fn parse_one(entry: &str) -> Result<Armed, String> {
    let (name, rest) = entry.split_once('=').ok_or_else(|| format!("failpoint {entry:?} has no action"))?;
    let name = ALL
        .iter()
        .find(|n| **n == name.trim())
        .ok_or_else(|| format!("there is no failpoint {name:?}; there are: {}", ALL.join(", ")))?;
    let (action, hit) = match rest.split_once('@') {
        None => (rest, 1),
        Some((action, n)) => {
            let hit = n.trim().parse().map_err(|_| format!("failpoint {name}: {n:?} is no number of a hit"))?;
            (action, hit)
        }
    };
    Ok(Armed { name, action: parse_action(action.trim())?, hit })
}

fn parse_action(text: &str) -> Result<Action, String> {
    let hold = text.strip_prefix("hold(").and_then(|t| t.strip_suffix(')')).and_then(|t| t.parse().ok());
    match (text, hold) {
        ("kill" | "exit", _) => Ok(Action::Kill),
        ("panic", _) => Ok(Action::Panic),
        (_, Some(ms)) => Ok(Action::Hold(ms)),
        _ => Err(format!("failpoint action {text:?} is none of kill, exit, panic, hold(ms)")),
    }
}

#[cfg(feature = "failpoints")]
mod armed {
    use super::{Action, Armed, VARIABLE, parse};
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static ARMED: LazyLock<Vec<(Armed, AtomicU64)>> = LazyLock::new(|| {
        let text = std::env::var(VARIABLE).unwrap_or_default();
        match parse(&text) {
            Ok(list) => list.into_iter().map(|a| (a, AtomicU64::new(0))).collect(),
            Err(reason) => {
                tracing::error!(reason, "{VARIABLE} cannot be read; no failpoint is armed");
                Vec::new()
            }
        }
    });

    /// Counts a hit and acts when it is the one.
    #[expect(clippy::panic, reason = "the point exists to do so, in test builds alone")]
    pub(crate) fn hit(name: &'static str) {
        for (armed, hits) in ARMED.iter().filter(|(a, _)| a.name == name) {
            if hits.fetch_add(1, Ordering::SeqCst) + 1 != armed.hit {
                continue;
            }
            tracing::warn!(name, "failpoint");
            match armed.action {
                Action::Kill => kill(),
                Action::Panic => panic!("failpoint {name}"),
                Action::Hold(ms) => std::thread::sleep(std::time::Duration::from_millis(ms)),
            }
        }
    }

    /// No destructor runs, nothing is flushed, every thread ends at once: as by `kill -9`, but for the number of the signal
    /// (6), which needs no foreign function.
    fn kill() -> ! {
        std::process::abort()
    }
}

#[cfg(feature = "failpoints")]
pub(crate) use armed::hit;

/// Whether a name is listed; used at compile time.
#[doc(hidden)]
pub const fn listed(name: &str) -> bool {
    let mut i = 0;
    while i < ALL.len() {
        if same(ALL[i].as_bytes(), name.as_bytes()) {
            return true;
        }
        i += 1;
    }
    false
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// A named point.
macro_rules! failpoint {
    ($name:literal) => {
        const { assert!($crate::failpoint::listed($name), "add the name to failpoint::ALL") };
        #[cfg(feature = "failpoints")]
        $crate::failpoint::hit($name);
    };
}
pub(crate) use failpoint;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form_of_the_variable() {
        let list = parse("source.send.after=kill@3, sink.decide.after=hold(250); sink.put.after=panic").unwrap();
        assert_eq!(list[0], Armed { name: "source.send.after", action: Action::Kill, hit: 3 });
        assert_eq!(list[1], Armed { name: "sink.decide.after", action: Action::Hold(250), hit: 1 });
        assert_eq!(list[2].action, Action::Panic);
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn a_wrong_entry_is_an_error_that_names_it() {
        assert!(parse("source.nope=kill").unwrap_err().contains("source.nope"));
        assert!(parse("source.send.after=boom").unwrap_err().contains("boom"));
        assert!(parse("source.send.after=kill@x").unwrap_err().contains("source.send.after"));
    }

    /// Names that a source file passes to the macro.
    fn used_in(dir: &std::path::Path, names: &mut Vec<String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                used_in(&path, names);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let calls = text.split("failpoint!(\"").skip(1).filter_map(|rest| rest.split('"').next());
                names.extend(calls.filter(|name| name.contains('.')).map(str::to_owned));
            }
        }
    }

    #[test]
    fn every_name_stands_once_in_the_loops_and_on_the_page() {
        let mut used = Vec::new();
        used_in(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut used);
        used.sort();
        let mut all: Vec<String> = ALL.iter().map(|n| (*n).to_owned()).collect();
        all.sort();
        assert_eq!(used, all);
        let page = include_str!("../../../docs/development/failpoints.md");
        for name in ALL {
            assert!(page.contains(&format!("| `{name}` |")), "docs/development/failpoints.md does not list {name}");
        }
    }
}
