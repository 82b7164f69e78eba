//! Headers for every answer: `response.http.headers.config`.
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use chrono::{DateTime, TimeDelta};

/// One rule: `set X-Frame-Options: DENY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderRule {
    action: Action,
    name: HeaderName,
    value: HeaderValue,
    /// Milliseconds from the answer on, for dates.
    from_now_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Set,
    Add,
    SetDate,
    AddDate,
}

/// Why a rule is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "response.http.headers.config: {rule:?} is no header rule; write it as action name:value, with an action of set, add, setDate, addDate, and milliseconds as value for dates"
)]
pub struct HeaderRuleError {
    rule: String,
}

impl HeaderRule {
    /// Reads a comma-separated list; a rule that holds commas stands in double quotes.
    ///
    /// # Errors
    /// One of them is no rule.
    pub fn list(text: &str) -> Result<Vec<Self>, HeaderRuleError> {
        let mut quoted = false;
        let rules = text.split(|c: char| {
            quoted ^= c == '"';
            c == ',' && !quoted
        });
        rules.map(str::trim).filter(|r| !r.is_empty()).map(Self::read).collect()
    }

    fn read(rule: &str) -> Result<Self, HeaderRuleError> {
        Self::parse(rule.trim_matches('"').trim()).ok_or_else(|| HeaderRuleError { rule: rule.to_owned() })
    }

    fn parse(rule: &str) -> Option<Self> {
        let (action, header) = rule.split_once(char::is_whitespace)?;
        let (name, value) = header.split_once(':')?;
        let action = match action {
            "set" => Action::Set,
            "add" => Action::Add,
            "setDate" => Action::SetDate,
            "addDate" => Action::AddDate,
            _ => return None,
        };
        let dated = matches!(action, Action::SetDate | Action::AddDate);
        let from_now_ms = if dated { value.trim().parse().ok()? } else { 0 };
        let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
        Some(Self { action, name, value: HeaderValue::from_str(value.trim()).ok()?, from_now_ms })
    }

    /// Puts the header into an answer.
    pub(crate) fn apply(&self, headers: &mut HeaderMap, now_ms: i64) {
        let value = match self.action {
            Action::Set | Action::Add => Some(self.value.clone()),
            Action::SetDate | Action::AddDate => http_date(now_ms, self.from_now_ms),
        };
        let Some(value) = value else { return };
        match self.action {
            Action::Set | Action::SetDate => headers.insert(self.name.clone(), value).map(|_| ()),
            Action::Add | Action::AddDate => Some(headers.append(self.name.clone(), value)).map(|_| ()),
        };
    }
}

fn http_date(now_ms: i64, from_now_ms: i64) -> Option<HeaderValue> {
    let at = DateTime::from_timestamp_millis(now_ms)?.checked_add_signed(TimeDelta::try_milliseconds(from_now_ms)?)?;
    HeaderValue::from_str(&at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_set_and_add_headers_and_dates() {
        let rules =
            HeaderRule::list("set X-A: 1, \"add Cache-Control: no-cache, no-store\", add X-A:2,setDate Expires: 1000")
                .unwrap();
        let mut headers = HeaderMap::new();
        for rule in &rules {
            rule.apply(&mut headers, 0);
        }
        let all: Vec<_> = headers.get_all("x-a").iter().collect();
        assert_eq!(all, ["1", "2"]);
        assert_eq!(headers["cache-control"], "no-cache, no-store");
        assert_eq!(headers["expires"], "Thu, 01 Jan 1970 00:00:01 GMT");
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in ["X-A: 1", "put X-A: 1", "set X A: 1", "setDate Expires: soon", "set X-A"] {
            assert!(HeaderRule::list(text).is_err(), "{text}");
        }
        assert_eq!(HeaderRule::list(" ").unwrap(), []);
    }
}
