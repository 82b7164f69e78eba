//! Letters as the clients of the herder see them.
use super::write::Deed;
use super::{Addressee, LetterOutcome, LetterPage, LetterQuery, LetterRequest, LetterView};
use crate::answer::ConnectorKind;
use crate::error::HerderError;
use crate::handle::HerderHandle;

impl HerderHandle {
    /// A page of a connector's dead letters.
    ///
    /// # Errors
    /// `NotFound`; `BadRequest` when it keeps none; `Failed` when Kafka cannot be read.
    pub async fn letters(&self, name: &str, query: &LetterQuery) -> Result<LetterPage, HerderError> {
        let of = self.addressee(name).await?;
        self.letters.list(&of, query).await
    }

    /// One dead letter.
    ///
    /// # Errors
    /// As for [`Self::letters`]; `NotFound` also when there is no such letter.
    pub async fn letter(&self, name: &str, id: &str, contents: bool) -> Result<LetterView, HerderError> {
        let of = self.addressee(name).await?;
        self.letters.one(&of, id, contents).await
    }

    /// Puts dead letters of a sink again. Asking twice puts them once.
    ///
    /// # Errors
    /// As for [`Self::letters`]; `BadRequest` for a source.
    pub async fn replay_letters(&self, name: &str, request: &LetterRequest) -> Result<LetterOutcome, HerderError> {
        self.lead().await?;
        let of = self.addressee(name).await?;
        let (outcome, is_unseen) = self.letters.write(&of, request, Deed::Replay).await?;
        if is_unseen {
            // The tasks have started before there was a replay topic.
            self.restart(name, true, false).await?;
        }
        Ok(outcome)
    }

    /// Puts dead letters aside: they are not replayed, and not shown among the open ones.
    ///
    /// # Errors
    /// As for [`Self::letters`].
    pub async fn discard_letters(&self, name: &str, request: &LetterRequest) -> Result<LetterOutcome, HerderError> {
        self.lead().await?;
        let of = self.addressee(name).await?;
        self.letters.write(&of, request, Deed::Discard).await.map(|(outcome, _)| outcome)
    }

    async fn addressee(&self, name: &str) -> Result<Addressee, HerderError> {
        let stored = self.stored_config(name).await?.ok_or_else(|| HerderError::no_connector(name))?;
        let is_sink = self.info(name).await?.kind == ConnectorKind::Sink;
        let config = crate::admission::resolve(&stored, self.context()).await.map_err(HerderError::BadRequest)?;
        Ok(Addressee { name: name.to_owned(), config, is_sink })
    }
}
