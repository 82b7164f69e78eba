//! The rate law of one consumer group: from its lag to the bytes per second that its sources may send.
//!
//! A proportional-integral controller on the drain time (lag divided by the speed at which the group drains), fed
//! forward by that speed. A group that keeps up is FREE and has no limit; entering and leaving LIMITED have thresholds
//! of their own, and leaving needs that the limit does not bind, so that releasing changes nothing at that moment.

/// Constants of the law. The defaults are those of the product.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Law {
    /// Time between samples, seconds.
    pub period: f64,
    /// Target drain time, seconds.
    pub target: f64,
    /// A limit appears at a drain time of this share of the target.
    pub on: f64,
    /// Or when the drain time foreseen for so many seconds ahead passes the target.
    pub foresight: f64,
    /// A limit ends below this share of the target, when it does not bind.
    pub off: f64,
    /// For so many periods in a row.
    pub off_periods: u32,
    /// Proportional gain.
    pub proportional: f64,
    /// Integral gain.
    pub integral: f64,
    /// Bound of the integral either way.
    pub integral_max: f64,
    /// Time constant of the capacity estimate when it falls, seconds.
    pub falling: f64,
    /// Time constant when it rises: a drain rate that was seen is a lower bound of the capacity.
    pub rising: f64,
    /// Below this share of the target the group is not backlogged, and its drain rate says little about its capacity.
    pub backlog: f64,
    /// Valid samples in a row that must speak for a limit before it appears.
    pub enter_periods: u32,
    /// Smallest capacity that is divided by, bytes per second.
    pub capacity_min: f64,
    /// Without a valid sample for so long a FREE group is told apart as not known, seconds.
    pub stale_hold: f64,
    /// Without one for so long the limit moves to the safe rate, seconds.
    pub stale_safe: f64,
    /// A limit binds when the inflow uses at least this share of it.
    pub binds: f64,
}

impl Default for Law {
    fn default() -> Self {
        Self {
            period: 1.0,
            target: 10.0,
            on: 0.8,
            foresight: 3.0,
            off: 0.4,
            off_periods: 5,
            proportional: 1.0,
            integral: 0.1,
            integral_max: 0.5,
            falling: 4.0,
            rising: 2.0,
            backlog: 0.3,
            enter_periods: 2,
            capacity_min: 1024.0,
            stale_hold: 3.0,
            stale_safe: 15.0,
            binds: 0.9,
        }
    }
}

/// Share of the way to the safe rate that a limit goes each period without samples.
const SAFE_STEP: f64 = 0.1;
/// A group without samples may get this share of the capacity last known.
const SAFE_SHARE: f64 = 0.5;
/// Of the target: lag that merely grows must at least have reached this before foresight counts.
const FORESEEN_FROM: f64 = 0.2;

/// Whether a group limits its sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// It keeps up.
    #[default]
    Free,
    /// Its sources share a limit.
    Limited,
}

/// What a group's limit follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Why {
    /// There is no limit, or it was adopted.
    #[default]
    Nothing,
    /// Its lag.
    Lag,
    /// No lag is known; nothing is changed yet.
    NoData,
    /// No lag is known; the limit is held.
    NoDataHeld,
    /// No lag is known for long; the limit moves to the safe rate.
    NoDataSafe,
}

/// State of one group between periods.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group {
    /// Free or limited.
    pub mode: Mode,
    /// Estimate of the speed at which it can drain, bytes per second; 0 while it was never seen to progress.
    pub capacity: f64,
    /// Integral of the error.
    pub integral: f64,
    /// Bytes per second for all its sources together; infinite while free.
    pub limit: f64,
    /// Unconsumed bytes of the last valid sample.
    pub lag: f64,
    /// Periods that speak for release, or, negative, for a limit.
    pub calm: i32,
    /// Seconds without a valid sample.
    pub age: f64,
    /// What the limit follows from.
    pub why: Why,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            mode: Mode::Free,
            capacity: 0.0,
            integral: 0.0,
            limit: f64::INFINITY,
            lag: 0.0,
            calm: 0,
            age: 0.0,
            why: Why::Nothing,
        }
    }
}

/// What is known of a group after a period.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Unconsumed bytes; `None` when there is no sample. Missing is not zero.
    pub lag: Option<f64>,
    /// Bytes per second consumed since the last valid sample.
    pub drained: f64,
    /// Bytes per second that our sources sent to the group.
    pub inflow: f64,
    /// Sum of the floors of these sources, by their share of this group.
    pub floors: f64,
    /// Seconds since the last valid sample.
    pub elapsed: f64,
}

impl Sample {
    /// The lag, if the sample can be judged.
    fn valid(&self) -> Option<f64> {
        let sound = |value: f64| value.is_finite() && value >= 0.0;
        self.lag.filter(|lag| sound(*lag) && sound(self.drained))
    }
}

impl Group {
    /// What a leader without stored state takes over from a sum of limits in force.
    pub fn adopt(limit_in_force: f64) -> Self {
        let mode = if limit_in_force.is_finite() { Mode::Limited } else { Mode::Free };
        Self { mode, limit: limit_in_force, ..Self::default() }
    }

    /// Capacity as divided by.
    pub fn divisor(&self, law: &Law) -> f64 {
        self.capacity.max(law.capacity_min)
    }

    /// Seconds until the group has caught up at its own speed, as of the last valid sample.
    pub fn drain_time(&self, law: &Law) -> f64 {
        self.lag / self.divisor(law)
    }

    /// One period.
    #[must_use]
    pub fn step(&self, sample: &Sample, law: &Law) -> Self {
        let Some(lag) = sample.valid() else { return self.unsampled(sample, law) };
        let capacity = self.capacity_after(lag, sample, law);
        let seen = Self { capacity, lag, integral: 0.0, age: 0.0, why: Why::Nothing, ..*self };
        match self.mode {
            Mode::Limited => self.limited(sample, law, &seen),
            Mode::Free if capacity <= 0.0 => Self { calm: 0, limit: f64::INFINITY, ..seen },
            Mode::Free => {
                let calm = if self.is_hot(sample, law, &seen) { self.calm - 1 } else { 0 };
                if calm.unsigned_abs() < law.enter_periods {
                    return Self { calm, limit: f64::INFINITY, ..seen };
                }
                Self { integral: 0.0, limit: f64::INFINITY, calm: 0, ..*self }.limited(sample, law, &seen)
            }
        }
    }

    /// Whether a free group's lag, or where it is going, speaks for a limit.
    fn is_hot(&self, sample: &Sample, law: &Law, seen: &Self) -> bool {
        let (divisor, drain) = (seen.divisor(law), seen.drain_time(law));
        let growth = (seen.lag - self.lag) / sample.elapsed.max(law.period);
        let ahead = drain + law.foresight * growth.max(0.0) / divisor;
        drain >= law.on * law.target || (ahead > law.target && drain > FORESEEN_FROM * law.target)
    }

    /// The controller proper; `self` is the state before, `seen` what the sample adds to it.
    fn limited(&self, sample: &Sample, law: &Law, seen: &Self) -> Self {
        let drain = seen.drain_time(law);
        let binds = !self.limit.is_finite() || sample.inflow >= law.binds * self.limit;
        let error = ((law.target - drain) / law.target).clamp(-1.0, 1.0);
        let admitted = seen.divisor(law) * (1.0 + law.proportional * error + self.integral);
        // A limit that does not bind, or that floors hold up, teaches the integral nothing.
        let hold = (error > 0.0 && !binds) || (error < 0.0 && admitted <= sample.floors);
        let integral = if hold {
            self.integral
        } else {
            let next = self.integral + law.integral * sample.elapsed / law.target * error;
            next.clamp(-law.integral_max, law.integral_max)
        };
        let calm = if drain < law.off * law.target && !binds { self.calm + 1 } else { 0 };
        if u32::try_from(calm).is_ok_and(|periods| periods >= law.off_periods) {
            return Self { mode: Mode::Free, limit: f64::INFINITY, calm: 0, ..*seen };
        }
        Self { mode: Mode::Limited, integral, limit: admitted.max(sample.floors), calm, why: Why::Lag, ..*seen }
    }

    fn capacity_after(&self, lag: f64, sample: &Sample, law: &Law) -> f64 {
        let backlogged = lag >= law.backlog * law.target * self.divisor(law);
        if self.capacity <= 0.0 {
            return sample.drained;
        }
        if !backlogged {
            return self.capacity.max(sample.drained);
        }
        let constant = if sample.drained < self.capacity { law.falling } else { law.rising };
        self.capacity + (sample.drained - self.capacity) * (1.0 - (-sample.elapsed / constant).exp())
    }

    /// A period without a valid sample: nothing changes for a while, then a limit moves to a rate that is safe.
    fn unsampled(&self, sample: &Sample, law: &Law) -> Self {
        let age = self.age + law.period;
        if self.mode == Mode::Free && age < law.stale_safe {
            return Self { age, why: Why::NoData, ..*self };
        }
        if age < law.stale_hold || (self.mode == Mode::Limited && age < law.stale_safe) {
            return Self { age, why: Why::NoDataHeld, ..*self };
        }
        let safe = sample.floors.max(SAFE_SHARE * self.divisor(law));
        let limit = if self.limit.is_finite() { self.limit + (safe - self.limit) * SAFE_STEP } else { safe };
        Self { mode: Mode::Limited, age, limit: limit.max(sample.floors), calm: 0, why: Why::NoDataSafe, ..*self }
    }
}
