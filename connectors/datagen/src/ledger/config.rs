//! The keys of the ledger.
use elasticflow_config::{choice, settings};

choice! {
    /// What is looked at.
    pub enum LedgerMode {
        /// How many records have come, and whether they were changed.
        Count = "count",
        /// Which ones, and whether one has come twice.
        Set = "set",
        /// Whether they come in their order, too.
        Ordered = "ordered",
    }
}

settings! {
    /// Settings of the ledger.
    pub struct LedgerConfig {
        /// Folder of the ledger; all tasks on all workers must see the same. Delete it to begin anew.
        "ledger.path" => path: String { importance: High, group: "Ledger", valid: Validity::Check(check_path) },
        /// count: how many records came, and whether they are as they were made. set: also which, and whether twice. ordered:
        /// also whether those of one generator task come in order in each partition.
        "ledger.mode" => mode: LedgerMode { default: "ordered", importance: High, group: "Ledger" },
        /// Records that are to come in all; without it the verdict is open for as long as nothing is wrong.
        "ledger.expected" => expected: Option<u64> { group: "Ledger" },
        /// How many numbers a record may be late in its partition before that is a violation of order.
        "ledger.window" => window: u64 { default: "0", group: "Ledger" },
        /// What fails the task: a list of gap, duplicate, corrupt, order. Everything is counted. A gap can only be told where
        /// one task reads a topic of one partition; otherwise it stands in the report.
        "ledger.fail.on" => fail_on: String {
            default: "gap,duplicate,corrupt,order", group: "Ledger", valid: Validity::Check(check_kinds)
        },
        /// Whether the time from a record's timestamp to its arrival is measured.
        "ledger.latency" => latency: bool { default: "true", group: "Ledger" },
        /// Not supported: a sink has no way to write to a topic. The report lies in `ledger.path`.
        "ledger.report.topic" => report_topic: Option<String> { hidden: true },
    }
}

/// What can be wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Violation {
    Gap,
    Duplicate,
    Corrupt,
    Order,
}

impl Violation {
    const ALL: [Self; 4] = [Self::Gap, Self::Duplicate, Self::Corrupt, Self::Order];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::Duplicate => "duplicate",
            Self::Corrupt => "corrupt",
            Self::Order => "order",
        }
    }

    /// A list of them.
    pub(crate) fn list(text: &str) -> Result<Vec<Self>, String> {
        let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
        let find = |name: &str| Self::ALL.into_iter().find(|kind| kind.name() == name);
        names
            .map(|name| find(name).ok_or_else(|| format!("{name} is none of gap, duplicate, corrupt, order")))
            .collect()
    }
}

fn check_kinds(text: &str) -> Result<(), String> {
    Violation::list(text).map(drop)
}

fn check_path(text: &str) -> Result<(), String> {
    let is_absolute = std::path::Path::new(text.trim()).is_absolute();
    if is_absolute {
        Ok(())
    } else {
        Err("must be an absolute path: every worker has a working directory of its own".to_owned())
    }
}
