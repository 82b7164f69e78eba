//! Why a connector does not run freely: states and reasons, the same in answers, metrics, events and log.

/// What flow control does to a connector. Connect's states are not extended: this stands beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FlowState {
    /// No limit binds.
    Free,
    /// A rate below its demand is in force.
    Limited,
    /// It may not read.
    Held,
    /// Single trial calls are made at the system at the other end.
    BreakerHalfOpen,
    /// No call is made at the system at the other end.
    BreakerOpen,
    /// It waits for capacity in its pool.
    Queued,
    /// Data is prepared, and its commit is tried again.
    CommitPending,
    /// A bounded run has ended, and the next one is not due.
    Idle,
}

impl FlowState {
    /// Every state, from the freest to the least free.
    pub const ALL: &'static [Self] = &[
        Self::Free,
        Self::Limited,
        Self::Held,
        Self::BreakerHalfOpen,
        Self::BreakerOpen,
        Self::Queued,
        Self::CommitPending,
        Self::Idle,
    ];

    /// The state of a word; `None` for one that this version does not know.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.word() == word)
    }

    /// As in answers.
    pub fn word(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Limited => "limited",
            Self::Held => "held",
            Self::BreakerHalfOpen => "breaker_half_open",
            Self::BreakerOpen => "breaker_open",
            Self::Queued => "queued",
            Self::CommitPending => "commit_pending",
            Self::Idle => "idle",
        }
    }
}

macro_rules! reasons {
    ( $( $(#[$doc:meta])* $variant:ident = $code:literal, $number:literal, $action:literal; )+ ) => {
        /// One list of reasons. Each has a number, `FLOW-<nnnn>`, and a page of that name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum ReasonCode { $( $(#[$doc])* $variant, )+ }

        impl ReasonCode {
            /// Every reason.
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )+ ];

            /// As in answers, events and alerts.
            pub fn code(self) -> &'static str {
                match self { $( Self::$variant => $code, )+ }
            }

            /// As in errors, and the name of its page.
            pub fn number(self) -> &'static str {
                match self { $( Self::$variant => concat!("FLOW-", $number), )+ }
            }

            /// The reason of a code; `None` for one that this version does not know.
            pub fn of(code: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|reason| reason.code() == code)
            }

            /// What to do about it.
            pub fn action(self) -> &'static str {
                match self { $( Self::$variant => $action, )+ }
            }
        }
    };
}

reasons! {
    /// A consumer of its topics is behind.
    Lag = "LAG", "0001", "raise flow.priority, give the sink more tasks, or accept it";
    /// Nothing is known of how far consumers are behind.
    NoLagData = "NO_LAG_DATA", "0002", "look at the broker and at the consumer group";
    /// The worker's processors are busy.
    CpuPressure = "CPU_PRESSURE", "0003", "add a worker, or use another pool";
    /// The worker's memory is used up.
    MemoryPressure = "MEMORY_PRESSURE", "0004", "add a worker, or use another pool";
    /// A rate of the configuration is reached.
    Rate = "RATE", "0005", "raise flow.rate.records or flow.rate.bytes";
    /// A rate that an operator has set is reached.
    Override = "OVERRIDE", "0006", "change or delete the limit of the connector";
    /// Producers outside the cluster fill the topic.
    ForeignLoad = "FOREIGN_LOAD", "0007", "look for other producers of the topic";
    /// The floors together are more than the consumer can take.
    FloorsExceedCapacity = "FLOORS_EXCEED_CAPACITY", "0008", "lower flow.floor.bytes of the sources named";
    /// The topic holds as many unconsumed bytes as it may.
    Cap = "CAP", "0010", "start or stop the sink named, or raise flow.cap.bytes";
    /// The cap is smaller than what arrives between two commits of the consumer.
    CapSmall = "CAP_SMALL", "0011", "raise flow.cap.bytes";
    /// One transaction is larger than the cap.
    CapTooSmall = "CAP_TOO_SMALL", "0012", "raise flow.cap.bytes above the size of the transaction";
    /// The broker is about to delete what was not consumed.
    RetentionRisk = "RETENTION_RISK", "0013", "start the sink, or extend the retention of the topic";
    /// The broker has deleted what was not consumed.
    OffsetGone = "OFFSET_GONE", "0014", "accept the loss, or fill in what is missing from the source";
    /// The quota of the window is used up.
    Quota = "QUOTA", "0020", "wait for the next window, or raise the quota";
    /// The system at the other end fails.
    Breaker = "BREAKER", "0030", "look at the error of the system at the other end; the breaker closes by itself when that answers again";
    /// The task has failed too often.
    RestartsExhausted = "RESTARTS_EXHAUSTED", "0031", "read the attempts, mend the cause, restart the task";
    /// No worker has room.
    Capacity = "CAPACITY", "0040", "add a worker, lower flow.task.weight, or use another pool";
    /// A more important task has taken its place.
    Preempted = "PREEMPTED", "0041", "add a worker, raise flow.priority, or use another pool";
    /// More records were bad than may be.
    ErrorBudget = "ERROR_BUDGET", "0050", "look at the dead letters, mend them, reset the budget";
    /// Prepared data waits for its commit.
    CommitPending = "COMMIT_PENDING", "0060", "look at the error of the system at the other end";
    /// Another batch is open in the store.
    StoreBusy = "STORE_BUSY", "0061", "wait for the open batch, or publish both together";
    /// A record without a batch stands in the topic of an open batch.
    ForeignRecord = "FOREIGN_RECORD", "0062", "give it a topic of its own, or its source flow.batch.mode=run";
    /// The destination cannot publish a batch at once.
    BatchNotAtomic = "BATCH_NOT_ATOMIC", "0063", "publish progressively, or use another kind of batch";
    /// Nothing has moved for long.
    NoProgress = "NO_PROGRESS", "0070", "look at the log of the task";
    /// It was stopped while it ran.
    Stopped = "STOPPED", "0071", "retry the run";
    /// Rows without a value in the column that is read by.
    NullCursor = "NULL_CURSOR", "0080", "give the rows a value";
    /// Rows appeared below the position.
    LateRows = "LATE_ROWS", "0081", "raise the safety lag";
}
