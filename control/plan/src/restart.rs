//! What a restart request covers.

/// What a user asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Tasks too.
    pub include_tasks: bool,
    /// Only what has failed.
    pub only_failed: bool,
}

impl Request {
    /// Of two requests that are not carried out yet, the one that covers more.
    #[must_use]
    pub fn wider(self, other: Self) -> Self {
        // false sorts before true: everything before what has failed, then with tasks before without.
        let rank = |r: Self| (!r.only_failed, r.include_tasks);
        if rank(other) > rank(self) { other } else { self }
    }
}

/// What is to be restarted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Covered {
    /// The connector itself.
    pub connector: bool,
    /// Tasks by index.
    pub tasks: Vec<u32>,
}

/// Parts that a request covers. `failed` tells of the connector, then of each task by index.
pub fn covered(request: Request, connector_failed: bool, tasks: &[(u32, bool)]) -> Covered {
    let concerned = |failed: bool| failed || !request.only_failed;
    let tasks = tasks.iter().filter(|(_, failed)| request.include_tasks && concerned(*failed));
    Covered { connector: concerned(connector_failed), tasks: tasks.map(|(index, _)| *index).collect() }
}
