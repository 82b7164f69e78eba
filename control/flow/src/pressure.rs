//! A worker at the end of its processors is a bottleneck like a slow consumer group.

/// Thresholds of a worker's load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PressureLaw {
    /// Load that a limit steers to, as a share of the processors it may use.
    pub goal: f64,
    /// A limit appears at this load.
    pub on: f64,
    /// And ends below this one, when it does not bind.
    pub off: f64,
}

impl Default for PressureLaw {
    fn default() -> Self {
        Self { goal: 0.85, on: 0.92, off: 0.75 }
    }
}

/// Periods in a row before a limit appears.
const ENTER_PERIODS: u32 = 3;
/// Periods in a row before it ends.
const LEAVE_PERIODS: u32 = 5;
/// A limit binds when so much of it is used.
const BINDS: f64 = 0.9;
/// Gain, and how far one period may lower or raise the limit.
const GAIN: f64 = 0.5;
const LOWER_MOST: f64 = 0.7;
const RAISE_MOST: f64 = 1.1;

/// State of one worker between periods.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pressure {
    /// Bytes per second for all its sources together; infinite without pressure.
    pub limit: f64,
    /// Periods that speak for a limit.
    pub hot: u32,
    /// Periods that speak for its end.
    pub calm: u32,
}

impl Default for Pressure {
    fn default() -> Self {
        Self { limit: f64::INFINITY, hot: 0, calm: 0 }
    }
}

impl Pressure {
    /// One period, in which the worker used `load` of its processors and moved `rate` bytes per second.
    #[must_use]
    pub fn step(&self, load: f64, rate: f64, law: &PressureLaw) -> Self {
        if !load.is_finite() || load < 0.0 {
            return *self;
        }
        if !self.limit.is_finite() {
            let hot = if load >= law.on { self.hot + 1 } else { 0 };
            if hot < ENTER_PERIODS {
                return Self { hot, ..Self::default() };
            }
            return Self { limit: rate * law.goal / load, hot: 0, calm: 0 };
        }
        let binds = rate >= BINDS * self.limit;
        let step = 1.0 + GAIN * (law.goal - load) / law.goal;
        // A limit that nobody uses is not raised: it would mean nothing when it is needed.
        let limit = if binds || step < 1.0 { self.limit * step.clamp(LOWER_MOST, RAISE_MOST) } else { self.limit };
        let calm = if load < law.off && !binds { self.calm + 1 } else { 0 };
        if calm >= LEAVE_PERIODS { Self::default() } else { Self { limit, hot: 0, calm } }
    }
}
