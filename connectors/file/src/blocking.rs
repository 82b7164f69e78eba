//! State that is used on blocking threads alone.
use crate::error::Error;

/// Owns a state that does blocking I/O; it comes back after each call.
pub(crate) struct Blocking<S> {
    state: Option<S>,
}

impl<S: Send + 'static> Blocking<S> {
    /// Nothing yet.
    pub(crate) fn empty() -> Self {
        Self { state: None }
    }

    /// Holds a state.
    pub(crate) fn set(&mut self, state: S) {
        self.state = Some(state);
    }

    /// Drops the state.
    pub(crate) fn clear(&mut self) {
        self.state = None;
    }

    /// Runs a call with the state on a blocking thread. A dropped future loses the state: the instance is then useless
    /// and answers `Bug`, as the runtime drops it anyway.
    pub(crate) async fn call<T, F>(&mut self, call: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&mut S) -> Result<T, Error> + Send + 'static,
    {
        let Some(mut state) = self.state.take() else {
            return Err(Error::Bug("the task was used before start or after a dropped call".to_owned()));
        };
        let answered = aside(move || {
            let answer = call(&mut state);
            Ok((state, answer))
        });
        let (state, answer) = answered.await?;
        self.state = Some(state);
        answer
    }
}

/// Runs a call on a blocking thread.
pub(crate) async fn aside<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(call)
        .await
        .map_err(|_| Error::Bug("a thread that reads or writes files has panicked".to_owned()))?
}
