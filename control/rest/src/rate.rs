//! Requests a second from one address.
//!
//! The generic cell rate algorithm: an address may make its requests in advance, up to a second's worth, and then one
//! each interval. One number an address is kept; when there are too many, those that owe nothing are forgotten.
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// Addresses that are remembered.
const ADDRESSES_MAX: usize = 10_000;

/// Lets requests through, or not.
pub(crate) struct RateLimit {
    interval: Duration,
    /// When the next request of an address would come if it kept to the interval.
    due: Mutex<HashMap<IpAddr, Duration>>,
}

impl RateLimit {
    /// None for 0.
    pub(crate) fn per_second(requests: u32) -> Option<Self> {
        let interval = Duration::from_secs(1).checked_div(requests)?;
        Some(Self { interval, due: Mutex::default() })
    }

    /// Whether a request may pass now; `now` never goes back.
    pub(crate) fn admits(&self, address: IpAddr, now: Duration) -> bool {
        let mut due = self.due.lock();
        if due.len() >= ADDRESSES_MAX && !due.contains_key(&address) {
            due.retain(|_, at| *at > now);
            if due.len() >= ADDRESSES_MAX {
                return false;
            }
        }
        let at = due.entry(address).or_insert(now);
        let next = (*at).max(now) + self.interval;
        if next > now + Duration::from_secs(1) {
            return false;
        }
        *at = next;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn address(n: u32) -> IpAddr {
        Ipv4Addr::from_bits(n).into()
    }

    #[test]
    fn a_second_of_requests_passes_at_once_and_then_one_each_interval() {
        let limit = RateLimit::per_second(4).unwrap();
        let at = |ms| (0..10).filter(|_| limit.admits(address(1), Duration::from_millis(ms))).count();
        assert_eq!([at(0), at(100), at(250), at(1250), at(9000)], [4, 0, 1, 4, 4]);
        assert!(limit.admits(address(2), Duration::from_millis(9000)), "another address has its own");
        assert!(RateLimit::per_second(0).is_none());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let limit = RateLimit::per_second(1).unwrap();
        let most = u32::try_from(ADDRESSES_MAX).unwrap();
        assert!((0..most).all(|n| limit.admits(address(n), Duration::ZERO)));
        assert!(!limit.admits(address(most), Duration::ZERO));
        assert!(limit.admits(address(most), Duration::from_secs(2)));
        assert_eq!(limit.due.lock().len(), 1);
    }
}
