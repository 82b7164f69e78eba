//! Replays recorded scenarios against a worker.
pub(crate) mod matching;

use matching::{Mismatch, matches};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// An answer as it came.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// A request of a recording.
pub(crate) struct Ask {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<Vec<u8>>,
    /// Which worker the recording asks for, such as `follower`.
    pub(crate) via: Option<String>,
}

/// What is waited for.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    /// Longest for a step that the recording waits for too.
    pub(crate) awaited: Duration,
    /// Longest for any other answer to a read: a worker shows a moment later what another one has carried out.
    pub(crate) shown: Duration,
}

/// A worker that can be asked, or several.
#[async_trait::async_trait]
pub(crate) trait Target {
    async fn ask(&self, ask: &Ask) -> Reply;
}

/// A recorded scenario.
pub(crate) struct Scenario {
    pub(crate) name: String,
    /// Kind of worker.
    pub(crate) worker: String,
    steps: Vec<Value>,
}

/// What became of a step.
pub(crate) struct Outcome {
    /// `<scenario>/<step>`.
    pub(crate) step: String,
    pub(crate) result: Result<(), Mismatch>,
}

/// Values of variables.
pub(crate) struct Variables {
    pub(crate) url: String,
    pub(crate) dir: PathBuf,
    pub(crate) run: String,
    pub(crate) group: String,
}

impl Variables {
    fn fill(&self, text: &str) -> String {
        let suffix = self.group.strip_prefix("connect-").unwrap_or("");
        text.replace("${URL}", &self.url)
            .replace("${DIR}", &self.dir.display().to_string())
            .replace("${RUN}", &self.run)
            .replace("${GROUP}", &self.group)
            .replace("${GROUP_SUFFIX}", suffix)
    }

    fn filled(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.fill(text)),
            Value::Array(items) => items.iter().map(|v| self.filled(v)).collect(),
            Value::Object(members) => members.iter().map(|(k, v)| (self.fill(k), self.filled(v))).collect(),
            other => other.clone(),
        }
    }
}

impl Scenario {
    /// Every scenario of a folder, in order of their names.
    pub(crate) fn all(folder: &str) -> Vec<Self> {
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<PathBuf> = files.filter(|p| p.extension().is_some_and(|e| e == "jsonl")).collect();
        files.sort();
        files.iter().map(|path| Self::read(&std::fs::read_to_string(path).unwrap())).collect()
    }

    fn read(text: &str) -> Self {
        let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let head = lines.next().unwrap();
        let text = |member: &str| head[member].as_str().unwrap().to_owned();
        Self { name: text("scenario"), worker: text("worker"), steps: lines.collect() }
    }

    /// Number of steps.
    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }

    /// Runs every step.
    pub(crate) async fn replay(&self, target: &dyn Target, variables: &Variables, patience: Patience) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for step in &self.steps {
            let result = run(step, target, variables, patience).await;
            outcomes.push(Outcome { step: format!("{}/{}", self.name, step["name"].as_str().unwrap()), result });
        }
        outcomes
    }
}

async fn run(step: &Value, target: &dyn Target, variables: &Variables, patience: Patience) -> Result<(), Mismatch> {
    let path = || PathBuf::from(variables.fill(step["path"].as_str().unwrap()));
    let text = || variables.fill(step["text"].as_str().unwrap());
    match step["step"].as_str().unwrap() {
        "http" => exchange(step, target, variables, patience).await,
        "file-write" => {
            std::fs::create_dir_all(path().parent().unwrap()).unwrap();
            std::fs::write(path(), text()).map_err(|e| e.to_string())
        }
        "file-append" => {
            let mut whole = std::fs::read_to_string(path()).unwrap_or_default();
            whole.push_str(&text());
            std::fs::write(path(), whole).map_err(|e| e.to_string())
        }
        "file-await" => lines_arrive(step, &path(), variables, patience.awaited).await,
        other => Err(format!("unknown kind of step {other}")),
    }
}

async fn lines_arrive(
    step: &Value,
    path: &std::path::Path,
    variables: &Variables,
    longest: Duration,
) -> Result<(), Mismatch> {
    let as_json = step["json_lines"].as_bool() == Some(true);
    let parse = |text: &str| -> Value {
        if as_json { serde_json::from_str(text).unwrap_or(Value::Null) } else { Value::from(text) }
    };
    let wanted: Vec<Value> = step["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line.as_str().map_or_else(|| variables.filled(line), |text| parse(&variables.fill(text))))
        .collect();
    let hold = Duration::from_secs_f64(step["hold_s"].as_f64().unwrap_or(0.0)).min(longest);
    tokio::time::sleep(hold).await;
    until(longest, || async {
        let found: Vec<Value> = std::fs::read_to_string(path).unwrap_or_default().lines().map(parse).collect();
        if found == wanted {
            Ok(())
        } else {
            Err(format!("{} lines in {}, recorded {}", found.len(), path.display(), wanted.len()))
        }
    })
    .await
}

/// Asks again until it fits or the time is over.
async fn until<F: Future<Output = Result<(), Mismatch>>>(
    longest: Duration,
    mut attempt: impl FnMut() -> F,
) -> Result<(), Mismatch> {
    let deadline = Instant::now() + longest;
    loop {
        let result = attempt().await;
        if result.is_ok() || Instant::now() >= deadline {
            return result;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn exchange(
    step: &Value,
    target: &dyn Target,
    variables: &Variables,
    patience: Patience,
) -> Result<(), Mismatch> {
    let ask = ask_of(step, variables);
    let shown = if ask.method == "GET" { patience.shown } else { Duration::ZERO };
    let longest = step["await_s"].as_f64().map_or(shown, |_| patience.awaited);
    // Where another worker may show what was before, the recording's own pace is kept.
    let pause = Duration::from_secs_f64(step["delay_s"].as_f64().unwrap_or(0.0));
    tokio::time::sleep(pause.min(patience.shown)).await;
    until(longest, || async {
        let reply = target.ask(&ask).await;
        let recorded = fits(&variables.filled(&step["response"]), &reply);
        match step.get("product") {
            Some(product) if recorded.is_err() => fits(&variables.filled(product), &reply),
            _ => recorded,
        }
    })
    .await
}

fn ask_of(step: &Value, variables: &Variables) -> Ask {
    let request = &step["request"];
    let headers = request["headers"].as_object().into_iter().flatten();
    let body = match (&request["body_text"], request.get("body")) {
        (Value::String(text), _) => Some(variables.fill(text).into_bytes()),
        (_, Some(json)) => Some(serde_json::to_vec(&variables.filled(json)).unwrap()),
        _ => None,
    };
    Ask {
        method: request["method"].as_str().unwrap().to_owned(),
        path: variables.fill(request["path"].as_str().unwrap()),
        headers: headers.map(|(k, v)| (k.clone(), variables.fill(v.as_str().unwrap()))).collect(),
        body,
        via: step["via"].as_str().map(str::to_owned),
    }
}

fn fits(expected: &Value, reply: &Reply) -> Result<(), Mismatch> {
    let body = String::from_utf8_lossy(&reply.body);
    if expected["status"] != reply.status {
        return Err(format!("status {}, recorded {}: {body}", reply.status, expected["status"]));
    }
    for (name, value) in expected["headers"].as_object().into_iter().flatten() {
        header_fits(name, value.as_str().unwrap(), reply)?;
    }
    if expected["skip_body"].as_bool() == Some(true) {
        return Ok(());
    }
    match (expected.get("body"), &expected["body_text"]) {
        (Some(json), _) => {
            let actual = serde_json::from_slice(&reply.body).map_err(|_| format!("body is no JSON: {body}"))?;
            matches(json, &actual)
        }
        (None, Value::String(text))
            if *text == body || sorted(text) == sorted(&body) && reply.headers.contains_key("allow") =>
        {
            Ok(())
        }
        (None, Value::Null) if reply.body.is_empty() => Ok(()),
        (None, text) => Err(format!("body {body:?}, recorded {text}")),
    }
}

fn header_fits(name: &str, expected: &str, reply: &Reply) -> Result<(), Mismatch> {
    let actual = reply.headers.get(name).map(String::as_str).ok_or_else(|| format!("no header {name}"))?;
    let same = match name {
        "content-type" => actual.split(';').next() == expected.split(';').next(),
        _ if name == "allow" || name.starts_with("access-control-allow-") => sorted(actual) == sorted(expected),
        _ => actual == expected,
    };
    if same { Ok(()) } else { Err(format!("header {name}: {actual}, recorded {expected}")) }
}

fn sorted(list: &str) -> Vec<&str> {
    let mut items: Vec<&str> = list.split(',').map(str::trim).collect();
    items.sort_unstable();
    items
}
