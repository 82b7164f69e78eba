//! Quotas: how much a connector may move in a window of the calendar.
use super::bound;
use super::concern::Concern;
use crate::key::KeyType;
use crate::value::ConfigValue;
use crate::{choice, settings};
use chrono::{DateTime, Days, LocalResult, NaiveDate, NaiveTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;

/// The leader reads all of them anew each period.
const LIVE: &[&str] =
    &["flow.quota.records", "flow.quota.bytes", "flow.quota.window", "flow.quota.action", "flow.time.zone"];

/// Quotas.
pub(super) const CONCERN: Concern = Concern { live: LIVE, stored: LIVE, ..Concern::of::<QuotaSettings>() };

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;
/// No zone has its midnight further away than this from one that does not exist.
const SHIFT_HOURS: i64 = 3;

choice! {
    /// `flow.quota.window`.
    pub enum QuotaWindow {
        /// A minute.
        Minute = "1m",
        /// An hour of the calendar.
        Hour = "1h",
        /// A day of the calendar.
        Day = "1d",
        /// From the creation of the connector, or the last time that it was stopped.
        Run = "run",
    }
}

choice! {
    /// `flow.quota.action`.
    pub enum QuotaAction {
        /// It waits for the next window.
        Hold = "hold",
        /// It is stopped.
        Stop = "stop",
        /// It goes on, and an incident tells of it.
        Alarm = "alarm",
    }
}

settings! {
    /// How much a connector may move in a window.
    pub struct QuotaSettings {
        /// Most records of all tasks together in a window: sent by a source, read by a sink. -1: no quota. Changes without a restart.
        "flow.quota.records" => records: Quota { default: "-1", group: "Flow" },
        /// Most bytes of all tasks together in a window, serialised keys and values; the last record may pass it. -1: no quota. Changes without a restart.
        "flow.quota.bytes" => bytes: Quota { default: "-1", group: "Flow" },
        /// What the quota is for: 1m, 1h or 1d (of the calendar, in flow.time.zone), or run (since it was created or stopped last). Changes without a restart.
        "flow.quota.window" => window: QuotaWindow { default: "1d", group: "Flow" },
        /// What happens when it is used up: hold (until the window ends), stop (until somebody resumes it), or alarm (it goes on). Changes without a restart.
        "flow.quota.action" => action: QuotaAction { default: "hold", group: "Flow" },
        /// Time zone of the quota's window, by its IANA name, such as Europe/Berlin. Changes without a restart.
        "flow.time.zone" => zone: Zone { default: "UTC", group: "Flow" },
    }
}

/// A quota as its key has it: -1 for none, else at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota(Option<u64>);

impl ConfigValue for Quota {
    const KIND: KeyType = KeyType::Long;

    fn read(text: &str) -> Result<Self, String> {
        bound::read(text, 1..=u64::MAX, || "Value must be -1 for no quota, or at least 1".to_owned()).map(Self)
    }
}

/// A time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone(Tz);

impl ConfigValue for Zone {
    const KIND: KeyType = KeyType::String;

    fn read(text: &str) -> Result<Self, String> {
        let unknown = |_| "Not the IANA name of a time zone, such as UTC or Europe/Berlin".to_owned();
        text.trim().parse().map(Self).map_err(unknown)
    }
}

impl Zone {
    /// Its IANA name.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// A moment as people of the zone write it.
    pub fn tell(self, ms: i64) -> String {
        let at = DateTime::from_timestamp_millis(ms).unwrap_or_default().with_timezone(&self.0);
        at.format("%Y-%m-%d %H:%M:%S %Z").to_string()
    }
}

/// A window of time, ms since 1970 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowSpan {
    /// Its first moment.
    pub start_ms: i64,
    /// The first moment after it; `None`: it does not end by itself.
    pub end_ms: Option<i64>,
}

impl QuotaSettings {
    /// Most records and bytes.
    pub fn most(&self) -> [Option<u64>; 2] {
        [self.records.0, self.bytes.0]
    }

    /// Whether there is a quota at all.
    pub fn is_set(&self) -> bool {
        self.most().iter().any(Option::is_some)
    }

    /// Whether tasks wait for what they are given.
    pub fn holds(&self) -> bool {
        self.is_set() && self.action != QuotaAction::Alarm
    }

    /// The window that a moment is in.
    pub fn span(&self, now_ms: i64) -> WindowSpan {
        let even = |start_ms: i64, length: i64| WindowSpan { start_ms, end_ms: Some(start_ms + length) };
        match self.window {
            QuotaWindow::Run => WindowSpan { start_ms: 0, end_ms: None },
            QuotaWindow::Minute => even(now_ms - now_ms.rem_euclid(MINUTE_MS), MINUTE_MS),
            QuotaWindow::Hour => {
                // Zones are not all whole hours away from UTC.
                let off =
                    i64::from(self.zone.0.offset_from_utc_datetime(&utc(now_ms).naive_utc()).fix().local_minus_utc());
                even(now_ms - (now_ms + off * 1000).rem_euclid(HOUR_MS), HOUR_MS)
            }
            QuotaWindow::Day => {
                let day = utc(now_ms).with_timezone(&self.zone.0).date_naive();
                let next = day.checked_add_days(Days::new(1)).unwrap_or(day);
                WindowSpan { start_ms: begins(self.zone.0, day), end_ms: Some(begins(self.zone.0, next)) }
            }
        }
    }
}

fn utc(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap_or_default()
}

/// The first moment of a day; where midnight is left out, the first hour after it.
fn begins(zone: Tz, day: NaiveDate) -> i64 {
    let midnight = day.and_time(NaiveTime::MIN);
    for hours in 0..=SHIFT_HOURS {
        let at = midnight + chrono::Duration::hours(hours);
        match zone.from_local_datetime(&at) {
            LocalResult::Single(found) | LocalResult::Ambiguous(found, _) => return found.timestamp_millis(),
            LocalResult::None => {}
        }
    }
    midnight.and_utc().timestamp_millis()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::properties::Properties;
    use crate::settings::parse;

    fn settings(keys: &[(&str, &str)]) -> QuotaSettings {
        parse(&keys.iter().copied().collect::<Properties>()).unwrap()
    }

    fn at(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
    }

    #[test]
    fn a_window_is_one_of_the_calendar_of_its_zone() {
        let cases = [
            ("1m", "UTC", "2026-03-01T10:00:59.999Z", "2026-03-01T10:00:00Z", "2026-03-01T10:01:00Z"),
            ("1h", "Asia/Kolkata", "2026-03-01T10:00:00Z", "2026-03-01T09:30:00Z", "2026-03-01T10:30:00Z"),
            ("1d", "UTC", "2026-03-01T23:59:59Z", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"),
            // Clocks go forward, back, and forward at midnight itself.
            ("1d", "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
            ("1d", "Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
            ("1d", "America/Santiago", "2026-09-06T12:00:00Z", "2026-09-06T04:00:00Z", "2026-09-07T03:00:00Z"),
        ];
        for (window, zone, now, start, end) in cases {
            let settings = settings(&[("flow.quota.window", window), ("flow.time.zone", zone)]);
            let expected = WindowSpan { start_ms: at(start), end_ms: Some(at(end)) };
            assert_eq!(settings.span(at(now)), expected, "{window} {zone} {now}");
            assert_eq!(settings.span(expected.start_ms), expected, "its first moment");
            assert_eq!(settings.span(at(end)).start_ms, at(end), "the next one begins where it ends");
        }
        assert_eq!(settings(&[("flow.quota.window", "run")]).span(5), WindowSpan { start_ms: 0, end_ms: None });
    }

    #[test]
    fn a_quota_is_minus_one_or_at_least_one() {
        assert_eq!(settings(&[]).most(), [None, None]);
        assert_eq!(settings(&[("flow.quota.bytes", "7")]).most(), [None, Some(7)]);
        let wrong = [("flow.quota.records", "0"), ("flow.quota.window", "1w"), ("flow.time.zone", "Mars/Olympus")];
        for (key, value) in wrong {
            let report = parse::<QuotaSettings>(&[(key, value)].into_iter().collect()).unwrap_err();
            assert_eq!(report.errors[key].len(), 1, "{key}={value}");
        }
    }

    #[test]
    fn only_what_holds_makes_tasks_wait() {
        let quota = ("flow.quota.records", "5");
        assert!(settings(&[quota]).holds() && settings(&[quota, ("flow.quota.action", "stop")]).holds());
        assert!(!settings(&[quota, ("flow.quota.action", "alarm")]).holds() && !settings(&[]).holds());
    }

    #[test]
    fn a_moment_is_told_in_the_zone() {
        let zone = settings(&[("flow.time.zone", "Europe/Berlin")]).zone;
        assert_eq!(zone.tell(at("2026-07-01T22:00:00Z")), "2026-07-02 00:00:00 CEST");
    }
}
