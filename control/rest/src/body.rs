//! Request bodies.
use crate::problem::Problem;
use elasticflow_config::{Members, Posted, shortened, text_of};
use elasticflow_herder::Pool;
use elasticflow_herder::answer::{InitialState, OffsetChange};
use elasticflow_herder::letters::LetterRequest;
use elasticflow_herder::signals::Signal;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Most pools that one may borrow from.
const BORROW_MAX: usize = 16;

/// Body of `POST /connectors`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CreateRequest {
    /// Trimmed; empty when it is missing.
    pub(crate) name: String,
    pub(crate) config: Posted,
    pub(crate) state: InitialState,
}

/// Reads a flat configuration.
pub(crate) fn config(body: &[u8]) -> Result<Posted, Problem> {
    Posted::from_json(text(body)?).map_err(|e| Problem::bad_request(format!("the body is no configuration: {e}")))
}

/// Reads the body of `POST /connectors`.
pub(crate) fn create(body: &[u8]) -> Result<CreateRequest, Problem> {
    let (mut name, mut config, mut state) = (String::new(), None, InitialState::Running);
    for (member, value) in members(text(body)?)? {
        match member.as_str() {
            "name" => {
                let given = text_of(value).ok_or_else(|| Problem::bad_request("name: expected text"))?;
                name = given.unwrap_or_default().trim().to_owned();
            }
            "config" if value.get() == "null" => config = None,
            "config" => {
                let posted = Posted::from_json(value.get());
                config = Some(posted.map_err(|e| Problem::bad_request(format!("config: {e}")))?);
            }
            "initial_state" => state = initial_state(value)?,
            other => return Err(unknown(other, "name, config and initial_state")),
        }
    }
    let config = config
        .ok_or_else(|| Problem::bad_request("config: missing; give the connector's configuration as an object"))?;
    Ok(CreateRequest { name, config, state })
}

fn initial_state(value: &RawValue) -> Result<InitialState, Problem> {
    let wrong = || Problem::bad_request("initial_state: expected RUNNING, PAUSED or STOPPED");
    let text = text_of(value).ok_or_else(wrong)?;
    match text.as_deref().map(str::to_uppercase).as_deref() {
        None | Some("RUNNING") => Ok(InitialState::Running),
        Some("PAUSED") => Ok(InitialState::Paused),
        Some("STOPPED") => Ok(InitialState::Stopped),
        Some(_) => Err(wrong()),
    }
}

/// Reads the body of `PATCH /connectors/{name}/offsets`; empty when there is nothing in it.
pub(crate) fn offsets(body: &[u8]) -> Result<Vec<OffsetChange>, Problem> {
    let mut changes = Vec::new();
    for (member, value) in members(text(body)?)? {
        match member.as_str() {
            "offsets" if value.get() == "null" => changes = Vec::new(),
            "offsets" => {
                let entries: Vec<&RawValue> = serde_json::from_str(value.get()).map_err(|_| {
                    Problem::bad_request("offsets: expected a list of objects with partition and offset")
                })?;
                changes = entries.iter().enumerate().map(|(i, entry)| change(i, entry)).collect::<Result<_, _>>()?;
            }
            other => return Err(unknown(other, "offsets")),
        }
    }
    Ok(changes)
}

fn change(index: usize, entry: &RawValue) -> Result<OffsetChange, Problem> {
    let mut change = OffsetChange { partition: None, offset: None };
    for (member, value) in members(entry.get()).map_err(|_| object_expected(&format!("offsets[{index}]")))? {
        let at = format!("offsets[{index}].{member}");
        match member.as_str() {
            "partition" => change.partition = object(value, &at)?,
            "offset" => change.offset = object(value, &at)?,
            _ => return Err(unknown(&at, "partition and offset")),
        }
    }
    Ok(change)
}

fn object(value: &RawValue, at: &str) -> Result<Option<Map<String, Value>>, Problem> {
    match serde_json::from_str(value.get()) {
        Ok(Value::Null) => Ok(None),
        Ok(Value::Object(members)) => Ok(Some(members)),
        _ => Err(object_expected(at)),
    }
}

fn object_expected(at: &str) -> Problem {
    Problem::bad_request(format!("{at}: expected an object"))
}

/// Reads the level of `PUT /admin/loggers/{logger}`.
pub(crate) fn level(body: &[u8]) -> Result<Option<String>, Problem> {
    for (member, value) in members(text(body)?)? {
        if member == "level" {
            return text_of(value).ok_or_else(|| Problem::bad_request("level: expected text"));
        }
    }
    Ok(None)
}

/// Reads a signal to a source.
pub(crate) fn signal(body: &[u8]) -> Result<Signal, Problem> {
    let mut signal = Signal::default();
    for (member, value) in members(text(body)?)? {
        let wrong = |expected: &str| Problem::bad_request(format!("{member}: expected {expected}"));
        match member.as_str() {
            "id" => signal.id = text_of(value).ok_or_else(|| wrong("text"))?,
            "type" => signal.kind = text_of(value).flatten().ok_or_else(|| wrong("text"))?,
            "data" => signal.data = object(value, "data")?.unwrap_or_default(),
            other => return Err(unknown(other, "id, type and data")),
        }
    }
    Ok(signal)
}

/// Reads which dead letters are put again or aside.
pub(crate) fn letters(body: &[u8]) -> Result<LetterRequest, Problem> {
    let mut request = LetterRequest::default();
    let mut is_chosen = false;
    for (member, value) in members(text(body)?)? {
        let wrong = |expected: &str| Problem::bad_request(format!("{member}: expected {expected}"));
        match member.as_str() {
            "ids" => {
                request.ids = serde_json::from_str(value.get()).map_err(|_| wrong("a list of ids"))?;
                is_chosen |= !request.ids.is_empty();
            }
            "filter" => {
                let filter: Map<String, Value> = serde_json::from_str(value.get()).map_err(|_| wrong("an object"))?;
                for (key, value) in &filter {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    crate::handlers::letters::set(&mut request.filter, key, &text)?;
                }
                is_chosen = true;
            }
            "cursor" => request.cursor = text_of(value).ok_or_else(|| wrong("text"))?,
            "patch" => request.patch = Some(serde_json::from_str(value.get()).map_err(|_| wrong("JSON"))?),
            "dryRun" => request.dry_run = serde_json::from_str(value.get()).map_err(|_| wrong("true or false"))?,
            other => return Err(unknown(other, "ids, filter, cursor, patch and dryRun")),
        }
    }
    if is_chosen {
        return Ok(request);
    }
    Err(Problem::bad_request("name the letters: ids, or a filter, such as {\"state\": \"open\"}"))
}

/// Reads the action of `POST /flow/v1/connectors/{name}/breaker`.
pub(crate) fn action(body: &[u8]) -> Result<Option<String>, Problem> {
    let mut action = None;
    for (member, value) in members(text(body)?)? {
        match member.as_str() {
            "action" => action = text_of(value).ok_or_else(|| Problem::bad_request("action: expected text"))?,
            other => return Err(unknown(other, "action")),
        }
    }
    Ok(action)
}

/// Reads the body of `POST /flow/v1/connectors/{name}/accept-loss`.
pub(crate) fn lost(body: &[u8]) -> Result<u64, Problem> {
    let mut records = None;
    for (member, value) in members(text(body)?)? {
        match member.as_str() {
            "records" => records = value.get().parse().ok(),
            other => return Err(unknown(other, "records")),
        }
    }
    records
        .ok_or_else(|| Problem::bad_request("records: expected the number of lost records that GET tells, such as 120"))
}

/// Reads the rules of a pool.
pub(crate) fn pool(name: &str, body: &[u8]) -> Result<Pool, Problem> {
    let mut rules = Pool::default();
    for (member, value) in members(text(body)?)? {
        let wrong = |why: serde_json::Error| Problem::bad_request(format!("{member}: {why}"));
        match member.as_str() {
            "reserved" => rules.reserved = serde_json::from_str(value.get()).map_err(wrong)?,
            "borrow" => rules.borrow = serde_json::from_str(value.get()).map_err(wrong)?,
            "max_tasks" => rules.max_tasks = serde_json::from_str(value.get()).map_err(wrong)?,
            other => return Err(unknown(other, "reserved, borrow, max_tasks")),
        }
    }
    if rules.reserved.is_some_and(|reserved| reserved.priority > 9) {
        return Err(Problem::bad_request("reserved.priority: expected 0 to 9, as flow.priority has it"));
    }
    if rules.borrow.len() > BORROW_MAX || rules.borrow.iter().any(|lender| lender == name) {
        let text = format!("borrow: expected at most {BORROW_MAX} pools other than {name}");
        return Err(Problem::bad_request(text));
    }
    Ok(rules)
}

fn unknown(member: &str, known: &str) -> Problem {
    Problem::bad_request(format!("{}: unknown member; known: {known}", shortened(member)))
}

fn members(text: &str) -> Result<Vec<(String, &RawValue)>, Problem> {
    let members: Members<'_> = serde_json::from_str(text).map_err(|e| {
        let why = if e.is_data() { "expected a JSON object".to_owned() } else { format!("malformed JSON: {e}") };
        Problem::bad_request(format!("the body cannot be read: {why}"))
    })?;
    Ok(members.0)
}

fn text(body: &[u8]) -> Result<&str, Problem> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Problem::bad_request("the body is empty; give a JSON object"));
    }
    std::str::from_utf8(body).map_err(|_| Problem::bad_request("the body is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_create_request_is_read() {
        let request = create(br#"{"name":" x ","config":{"a":1},"initial_state":"stopped"}"#).unwrap();
        assert_eq!((request.name.as_str(), request.state), ("x", InitialState::Stopped));
        assert_eq!(request.config.values.value("a"), Some("1"));
        assert_eq!(create(br#"{"config":{},"initial_state":null,"name":7}"#).unwrap().name, "7");
    }

    #[test]
    fn malformed_bodies_are_refused_without_their_values() {
        for body in [
            "",
            " ",
            "null",
            "[]",
            "{bad",
            "\u{7f}",
            r#"{"name":"hunter2"}"#,
            r#"{"config":null}"#,
            r#"{"config":"hunter2"}"#,
            r#"{"config":{"a":["hunter2"]}}"#,
            r#"{"config":{},"foo":"hunter2"}"#,
            r#"{"config":{},"initial_state":"hunter2"}"#,
            r#"{"config":{},"initial_state":1.5}"#,
            r#"{"name":["hunter2"],"config":{}}"#,
        ] {
            let problem = create(body.as_bytes()).unwrap_err();
            assert!(!format!("{problem:?}").contains("hunter2"), "{problem:?}");
        }
        assert!(create(&[b'{', 0xff, b'}']).is_err());
    }

    #[test]
    fn a_signal_has_a_type_and_may_have_an_id_and_data() {
        let read = signal(br#"{"type":"log","data":{"message":"m"},"id":"7"}"#).unwrap();
        assert_eq!((read.kind.as_str(), read.id.as_deref(), read.data.len()), ("log", Some("7"), 1));
        for body in [r#"{"type":{}}"#, r#"{"type":"log","data":[]}"#, r#"{"kind":"log"}"#, "[]"] {
            assert!(signal(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn letters_are_named_by_id_or_by_a_filter_and_never_by_nothing() {
        let request = letters(br#"{"ids":["d-0-1"],"patch":{"a":null},"dryRun":true}"#).unwrap();
        assert_eq!(
            (request.ids.len(), request.dry_run, request.patch),
            (1, true, Some(serde_json::json!({"a": null})))
        );
        let request = letters(br#"{"filter":{"state":"open","since":7}}"#).unwrap();
        assert_eq!(request.filter.since_ms, Some(7));
        for body in [
            "{}",
            r#"{"ids":[]}"#,
            r#"{"ids":1}"#,
            r#"{"filter":{"x":1}}"#,
            r#"{"x":1}"#,
            r#"{"ids":["a"],"dryRun":1}"#,
        ] {
            assert!(letters(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn offsets_are_read_and_their_shape_is_checked() {
        let changes = offsets(br#"{"offsets":[{"partition":{"a":1},"offset":null},{}]}"#).unwrap();
        assert_eq!(changes.len(), 2);
        assert!(changes[0].partition.is_some() && changes[0].offset.is_none() && changes[1].partition.is_none());
        assert_eq!(offsets(b"{}").unwrap(), []);
        assert_eq!(offsets(br#"{"offsets":null}"#).unwrap(), []);
        for body in [
            "[]",
            r#"{"offsets":{}}"#,
            r#"{"offsets":[],"x":1}"#,
            r#"{"offsets":[1]}"#,
            r#"{"offsets":[{"partition":1}]}"#,
            r#"{"offsets":[{"x":1}]}"#,
        ] {
            assert!(offsets(body.as_bytes()).is_err(), "{body}");
        }
    }
}
