//! JoinGroup and SyncGroup: the two requests of a group that wait for other members.
use crate::broker::Shared;
use crate::code;
use crate::groups::classic::{Reply, join_error, sync_error, text};
use crate::groups::join::Join;
use crate::state::State;
use crate::wire::frame::Closed;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse, SyncGroupRequest, SyncGroupResponse};

/// Answers once the member's generation is complete.
pub(crate) async fn join(
    shared: &Shared,
    r: JoinGroupRequest,
    v: i16,
    client: &str,
) -> Result<JoinGroupResponse, Closed> {
    let answer = match shared.locked(|s| s.join_group(&r, v, client)).map_err(Closed::Stopped)? {
        Reply::Now(answer) => answer,
        Reply::Wait(told) => told.await.unwrap_or_else(|_| join_error(code::UNKNOWN_MEMBER_ID, "")),
    };
    let unnamed = v < 7 && answer.protocol_name.is_none();
    Ok(if unnamed { answer.with_protocol_name(Some(text(""))) } else { answer })
}

/// Answers once the leader has assigned.
pub(crate) async fn sync(shared: &Shared, r: SyncGroupRequest) -> Result<SyncGroupResponse, Closed> {
    Ok(match shared.locked(|s| s.sync_group(&r)).map_err(Closed::Stopped)? {
        Reply::Now(answer) => answer,
        Reply::Wait(told) => told.await.unwrap_or_else(|_| sync_error(code::REBALANCE_IN_PROGRESS)),
    })
}

impl State {
    fn join_group(&mut self, r: &JoinGroupRequest, v: i16, client: &str) -> Reply<JoinGroupResponse> {
        let initial = self.initial_rebalance;
        match Join::parse(r, v, client).and_then(|j| Ok((self.group(&r.group_id)?, j))) {
            Ok((group, j)) => group.join(&j, initial),
            Err(why) => Reply::Now(join_error(why, &r.member_id)),
        }
    }

    fn sync_group(&mut self, r: &SyncGroupRequest) -> Reply<SyncGroupResponse> {
        match self.known_group(&r.group_id) {
            Some(group) => group.classic.sync(r, group.now),
            None => Reply::Now(sync_error(code::UNKNOWN_MEMBER_ID)),
        }
    }
}
