//! Rates and averages of tasks over the last minute, as Kafka Connect has them, from samples of the runtime's counters.
//!
//! A sample is taken every few seconds; a rate is what has come since the oldest of them. A task that is younger has the
//! rate since its first sample. What is gone is forgotten with its samples.
use elasticflow_api::position::TaskId;
use elasticflow_runtime::Runtime;
use elasticflow_runtime::TaskKind;
use elasticflow_runtime::metrics::TaskMetrics;
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// Time between samples, and how many are kept: two windows of Kafka Connect's 30 seconds.
pub(crate) const EVERY: Duration = Duration::from_secs(5);
const KEPT: usize = 12;

/// Counters at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sample {
    polled: u64,
    written: u64,
    commits: u64,
    active: Option<i64>,
}

impl Sample {
    fn of(metrics: &TaskMetrics) -> Self {
        Self {
            polled: metrics.polled.value(),
            written: metrics.written.value(),
            commits: metrics.transactions.value(),
            active: metrics.active.value(),
        }
    }
}

type Samples = VecDeque<(Duration, BTreeMap<TaskId, Sample>)>;

/// The samples of the last minute.
#[derive(Clone)]
pub(crate) struct Rates {
    runtime: Runtime,
    clock: Arc<dyn elasticflow_api::clock::Clock>,
    samples: Arc<Mutex<Samples>>,
}

/// Which tasks have a metric.
const SOURCE: Option<TaskKind> = Some(TaskKind::Source);
const SINK: Option<TaskKind> = Some(TaskKind::Sink);

/// A task and its samples, oldest first, the present one last.
struct Course {
    samples: Vec<(Duration, Sample)>,
}

impl Course {
    fn rate(&self, counter: fn(&Sample) -> u64) -> Option<f64> {
        let ((began, first), (now, last)) = (self.samples.first()?, self.samples.last()?);
        let time = now.saturating_sub(*began).as_secs_f64();
        (time > 0.0).then(|| counter(last).saturating_sub(counter(first)) as f64 / time)
    }

    fn active(&self) -> Vec<f64> {
        self.samples.iter().filter_map(|(_, sample)| sample.active).map(|count| count as f64).collect()
    }

    fn active_average(&self) -> Option<f64> {
        let active = self.active();
        (!active.is_empty()).then(|| active.iter().sum::<f64>() / active.len() as f64)
    }

    fn active_most(&self) -> Option<f64> {
        self.active().into_iter().reduce(f64::max)
    }
}

/// A metric over the last minute.
struct Windowed {
    name: &'static str,
    help: &'static str,
    of: Option<TaskKind>,
    value: fn(&Course) -> Option<f64>,
}

const fn windowed(
    name: &'static str,
    help: &'static str,
    of: Option<TaskKind>,
    value: fn(&Course) -> Option<f64>,
) -> Windowed {
    Windowed { name, help, of, value }
}

const WINDOWED: &[Windowed] = &[
    windowed("kafka_connect_source_task_source_record_poll_rate", "records polled a second", SOURCE, |c| {
        c.rate(|s| s.polled)
    }),
    windowed("kafka_connect_source_task_source_record_write_rate", "records written a second", SOURCE, |c| {
        c.rate(|s| s.written)
    }),
    windowed("kafka_connect_source_task_source_record_active_count_avg", "average in flight", SOURCE, |c| {
        c.active_average()
    }),
    windowed("kafka_connect_source_task_source_record_active_count_max", "most in flight", SOURCE, |c| c.active_most()),
    windowed("kafka_connect_sink_task_sink_record_read_rate", "records read a second", SINK, |c| c.rate(|s| s.polled)),
    windowed("kafka_connect_sink_task_sink_record_send_rate", "records put a second", SINK, |c| c.rate(|s| s.written)),
    windowed("kafka_connect_sink_task_sink_record_active_count_avg", "average in flight", SINK, |c| c.active_average()),
    windowed("kafka_connect_sink_task_sink_record_active_count_max", "most in flight", SINK, |c| c.active_most()),
    windowed("kafka_connect_sink_task_offset_commit_completion_rate", "commits a second", SINK, |c| {
        c.rate(|s| s.commits)
    }),
    // A commit is waited for: none is ever skipped because another one is under way.
    windowed("kafka_connect_sink_task_offset_commit_skip_rate", "commits skipped a second", SINK, |_| Some(0.0)),
    windowed("kafka_connect_sink_task_offset_commit_skip_total", "commits skipped", SINK, |_| Some(0.0)),
];

impl Rates {
    pub(crate) fn new(runtime: &Runtime, clock: &Arc<dyn elasticflow_api::clock::Clock>) -> Self {
        Self { runtime: runtime.clone(), clock: Arc::clone(clock), samples: Arc::default() }
    }

    /// Takes a sample every few seconds, for ever.
    pub(crate) async fn run(self) {
        loop {
            self.sample();
            self.clock.sleep(EVERY).await;
        }
    }

    fn now(&self) -> (Duration, BTreeMap<TaskId, Sample>) {
        let tasks = self.runtime.metrics();
        (self.clock.monotonic(), tasks.iter().map(|(metrics, _)| (metrics.id.clone(), Sample::of(metrics))).collect())
    }

    fn sample(&self) {
        let now = self.now();
        let mut samples = self.samples.lock();
        if samples.len() >= KEPT {
            samples.pop_front();
        }
        samples.push_back(now);
    }

    /// Appends the metrics in Prometheus' text format.
    pub(crate) fn render(&self, out: &mut String) {
        let (tasks, (now, _)) = (self.runtime.metrics(), self.now());
        let samples = self.samples.lock();
        let courses: Vec<(&TaskMetrics, Course)> =
            tasks.iter().map(|(metrics, _)| (&**metrics, course(metrics, &samples, now))).collect();
        for metric in WINDOWED {
            write(metric.name, metric.help, values(&courses, metric), out);
        }
        counted(&courses, out);
    }
}

fn course(metrics: &TaskMetrics, samples: &Samples, now: Duration) -> Course {
    let present = Sample::of(metrics);
    // A counter that stood higher was that of an instance before.
    let mine = samples.iter().filter_map(|(at, all)| Some((*at, *all.get(&metrics.id)?)));
    let mine = mine.filter(|(_, sample)| sample.polled <= present.polled && sample.commits <= present.commits);
    Course { samples: mine.chain([(now, present)]).collect() }
}

fn values<'a>(courses: &'a [(&TaskMetrics, Course)], metric: &Windowed) -> Vec<(&'a TaskId, f64)> {
    let having = courses.iter().filter(|(metrics, _)| metric.of.is_none_or(|kind| kind == metrics.kind));
    having.filter_map(|(metrics, course)| Some((&metrics.id, (metric.value)(course)?))).collect()
}

/// What follows from the counters alone.
fn counted(courses: &[(&TaskMetrics, Course)], out: &mut String) {
    let (mut shares, mut numbers) = (Vec::new(), Vec::new());
    for (metrics, _) in courses {
        let (done, failed) = (metrics.transactions.value(), metrics.commit_failures.value());
        if done + failed > 0 {
            shares.push((&metrics.id, done as f64 / (done + failed) as f64));
        }
        if metrics.kind == TaskKind::Sink {
            numbers.push((&metrics.id, (done + failed) as f64));
        }
    }
    let name = "kafka_connect_connector_task_offset_commit_success_percentage";
    write(name, "share of commits that succeeded", shares, out);
    write("kafka_connect_sink_task_offset_commit_seq_no", "number of the last commit", numbers, out);
}

fn write(name: &str, help: &str, values: Vec<(&TaskId, f64)>, out: &mut String) {
    if values.is_empty() {
        return;
    }
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
    for (id, value) in values {
        let connector = id.connector.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = writeln!(out, "{name}{{connector=\"{connector}\",task=\"{}\"}} {value}", id.task.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(samples: &[(u64, u64, Option<i64>)]) -> Course {
        let sample = |(at, polled, active): &(u64, u64, Option<i64>)| {
            (Duration::from_secs(*at), Sample { polled: *polled, active: *active, ..Sample::default() })
        };
        Course { samples: samples.iter().map(sample).collect() }
    }

    #[test]
    fn a_rate_is_what_came_since_the_oldest_sample() {
        assert_eq!(course(&[(10, 100, None), (15, 900, None), (30, 1100, None)]).rate(|s| s.polled), Some(50.0));
        assert_eq!(course(&[(10, 100, None)]).rate(|s| s.polled), None);
    }

    #[test]
    fn what_is_in_flight_is_averaged_over_the_samples_that_know_it() {
        let course = course(&[(0, 0, None), (5, 0, Some(4)), (10, 0, Some(8))]);
        assert_eq!((course.active_average(), course.active_most()), (Some(6.0), Some(8.0)));
    }
}
