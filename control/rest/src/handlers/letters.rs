//! Dead letters of connectors.
use super::Call;
use crate::access::Role;
use crate::answer::Answer;
use crate::body;
use crate::problem::Problem;
use crate::serve::Rest;
use elasticflow_herder::letters::{LetterFilter, LetterQuery};
use elasticflow_protocol::LetterState;

/// Letters of an answer that names no number.
const LIMIT: usize = 100;

pub(super) async fn list(rest: &Rest, name: &str, call: &Call) -> Result<Answer, Problem> {
    let mut query = LetterQuery { limit: LIMIT, contents: may_read(rest, call), ..LetterQuery::default() };
    for (key, value) in &call.query {
        match key.as_str() {
            "limit" => query.limit = number(key, value)?,
            "cursor" => query.cursor = Some(value.clone()),
            "forward" => {}
            key => set(&mut query.filter, key, value)?,
        }
    }
    Ok(Answer::ok(&rest.herder.letters(name, &query).await?))
}

pub(super) async fn one(rest: &Rest, name: &str, id: &str, call: &Call) -> Result<Answer, Problem> {
    Ok(Answer::ok(&rest.herder.letter(name, id, may_read(rest, call)).await?))
}

pub(super) async fn replay(rest: &Rest, name: &str, call: &Call) -> Result<Answer, Problem> {
    let mut request = body::letters(&call.body)?;
    request.dry_run |= call.is_true("dryRun");
    Ok(Answer::ok(&rest.herder.replay_letters(name, &request).await?))
}

pub(super) async fn discard(rest: &Rest, name: &str, call: &Call) -> Result<Answer, Problem> {
    let mut request = body::letters(&call.body)?;
    request.dry_run |= call.is_true("dryRun");
    if request.patch.is_some() {
        return Err(Problem::bad_request("patch: only a replay has one"));
    }
    Ok(Answer::ok(&rest.herder.discard_letters(name, &request).await?))
}

/// Contents are told only where the worker allows it at all, and not to those who may only look.
fn may_read(rest: &Rest, call: &Call) -> bool {
    rest.options.data_read && call.caller.role >= Role::Operator
}

fn number<T: std::str::FromStr>(key: &str, value: &str) -> Result<T, Problem> {
    value.parse().map_err(|_| Problem::bad_request(format!("{key}: expected a number")))
}

/// Sets one condition.
pub(crate) fn set(filter: &mut LetterFilter, key: &str, value: &str) -> Result<(), Problem> {
    let text = || Some(value.to_owned());
    match key {
        "stage" => filter.stage = text(),
        "kind" => filter.kind = text(),
        "field" => filter.field = text(),
        "code" => filter.code = text(),
        "since" => filter.since_ms = Some(number(key, value)?),
        "before" => filter.before_ms = Some(number(key, value)?),
        "state" => {
            let known = LetterState::ALL.iter().find(|(name, _)| *name == value).map(|(_, state)| *state);
            let names: Vec<&str> = LetterState::ALL.iter().map(|(name, _)| *name).collect();
            let wrong = || Problem::bad_request(format!("state: expected one of {}", names.join(", ")));
            filter.state = Some(known.ok_or_else(wrong)?);
        }
        other => {
            let text = format!("{other}: not known; a filter has stage, kind, field, code, state, since and before");
            return Err(Problem::bad_request(text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_refuses_what_it_does_not_know() {
        let mut filter = LetterFilter::default();
        set(&mut filter, "state", "open").unwrap();
        set(&mut filter, "since", "5").unwrap();
        assert_eq!((filter.state, filter.since_ms), (Some(LetterState::Open), Some(5)));
        for (key, value) in [("state", "x"), ("since", "yesterday"), ("colour", "red")] {
            assert!(set(&mut filter, key, value).is_err(), "{key}");
        }
    }
}
