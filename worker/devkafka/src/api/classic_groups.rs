//! Heartbeat, LeaveGroup, ListGroups, DescribeGroups, DeleteGroups.
use crate::code::{self, Code};
use crate::groups::classic::{Member, text};
use crate::groups::group::Group;
use crate::journal::Line;
use crate::state::State;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse, GroupId,
    HeartbeatRequest, HeartbeatResponse, LeaveGroupRequest, LeaveGroupResponse, ListGroupsRequest, ListGroupsResponse,
};

impl State {
    pub(crate) fn heartbeat(&mut self, r: &HeartbeatRequest) -> HeartbeatResponse {
        let result = match self.known_group(&r.group_id) {
            Some(g) => g.classic.heartbeat(r, g.now),
            None => Err(code::UNKNOWN_MEMBER_ID),
        };
        HeartbeatResponse::default().with_error_code(super::code_of(&result))
    }

    pub(crate) fn leave_group(&mut self, r: LeaveGroupRequest, v: i16) -> LeaveGroupResponse {
        let answer = LeaveGroupResponse::default();
        let Some(g) = self.known_group(&r.group_id) else { return answer.with_error_code(code::UNKNOWN_MEMBER_ID) };
        let now = g.now;
        if v < 3 {
            let result = g.classic.leave(&r.member_id, None, now);
            return answer.with_error_code(super::code_of(&result));
        }
        let left = r.members.into_iter().map(|m| {
            let result = g.classic.leave(&m.member_id, m.group_instance_id.as_deref(), now);
            MemberResponse::default()
                .with_member_id(m.member_id)
                .with_group_instance_id(m.group_instance_id)
                .with_error_code(super::code_of(&result))
        });
        answer.with_members(left.collect())
    }

    pub(crate) fn list_groups(&self, r: &ListGroupsRequest) -> ListGroupsResponse {
        let asked =
            |g: &Group| r.states_filter.is_empty() || r.states_filter.iter().any(|s| s.as_str() == g.state_name());
        let listed = self.groups.iter().filter(|(_, g)| (g.has_members() || !g.offsets.is_empty()) && asked(g));
        let describe = |(id, g): (&String, &Group)| {
            ListedGroup::default()
                .with_group_id(GroupId(text(id)))
                .with_protocol_type(text(g.protocol_type()))
                .with_group_state(text(g.state_name()))
        };
        ListGroupsResponse::default().with_groups(listed.map(describe).collect())
    }

    pub(crate) fn describe_groups(&self, r: DescribeGroupsRequest) -> DescribeGroupsResponse {
        let described = r.groups.into_iter().map(|id| match self.groups.get(id.as_str()) {
            None => DescribedGroup::default().with_group_id(id).with_group_state(text("Dead")),
            Some(g) => describe(id, g),
        });
        DescribeGroupsResponse::default().with_groups(described.collect())
    }

    pub(crate) fn delete_groups(&mut self, r: DeleteGroupsRequest) -> DeleteGroupsResponse {
        let deleted = r.groups_names.into_iter().map(|g| {
            let result = self.delete_group(&g);
            DeletableGroupResult::default().with_group_id(g).with_error_code(super::code_of(&result))
        });
        DeleteGroupsResponse::default().with_results(deleted.collect())
    }

    fn delete_group(&mut self, id: &str) -> Result<(), Code> {
        let group = self.groups.get(id).ok_or(code::GROUP_ID_NOT_FOUND)?;
        if group.has_members() {
            return Err(code::NON_EMPTY_GROUP);
        }
        self.groups.remove(id);
        self.write(&Line::GroupDelete { g: id.into() });
        Ok(())
    }
}

fn describe(id: GroupId, g: &Group) -> DescribedGroup {
    let protocol = g.classic.protocol.clone().unwrap_or_default();
    let member = |m: &Member| {
        DescribedGroupMember::default()
            .with_member_id(text(&m.id))
            .with_group_instance_id(m.instance.as_ref().map(text))
            .with_client_id(text(&m.client))
            .with_client_host(text("/127.0.0.1"))
            .with_member_metadata(m.metadata(&protocol))
            .with_member_assignment(m.assignment.clone())
    };
    DescribedGroup::default()
        .with_group_id(id)
        .with_group_state(text(g.state_name()))
        .with_protocol_type(text(&g.classic.protocol_type))
        .with_members(g.classic.members.iter().map(member).collect())
        .with_protocol_data(text(protocol))
}
