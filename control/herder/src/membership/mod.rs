//! Which leases this worker holds.
//!
//! Workers are members of an ordinary consumer group over the slots topic and the leader topic: Kafka detects failures
//! and moves partitions from one to the other. A partition of the slots topic is a lease; the one partition of the leader
//! topic is leadership. Two things are added to what the group protocol gives:
//! * A worker trusts a lease only as long as it can prove it: it commits an offset at short intervals, which the
//!   coordinator refuses to anybody who is not a member any more, and believes itself until the session that began with
//!   the last proof, less a margin, has passed on its own monotonic clock.
//! * A slot that is asked back is given up once every task on it has ended, or after the time that tasks have for that.
//!
//! A member is static, named by the address that it advertises: a worker that is started again within its session has
//! its slots back at once, and nothing moves. Absent on purpose: what a slot is good for.
mod group;
mod lease;

pub use group::{GroupMembership, GroupOptions};
