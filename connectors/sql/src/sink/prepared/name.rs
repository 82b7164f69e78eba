//! Units as names of branches: 16 bytes of the SHA-256 of group and connector, then task (4), owner (6) and commit (6),
//! big-endian, as 64 hexadecimal digits. Names of a task sort as its units do.
use elasticflow_api::position::{CommitEpoch, OwnerEpoch, TaskId, TaskIndex, UnitId};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Hexadecimal digits of the connector.
const CONNECTOR: usize = 32;
/// Digits of a task, and of an epoch.
const TASK: usize = 8;
const EPOCH: usize = 12;

/// As the runtime names the connector in its units.
pub(super) fn connector_of(task: &TaskId) -> Arc<str> {
    format!("{}/{}", task.group, task.connector).into()
}

fn of_connector(connector: &str) -> String {
    let mut out = String::with_capacity(64);
    crate::cell::write_hex(&Sha256::digest(connector.as_bytes()), &mut out);
    out.truncate(CONNECTOR);
    out
}

/// Name of a unit.
pub(super) fn name_of(unit: &UnitId) -> String {
    format!("{}{:08x}{:012x}{:012x}", of_connector(&unit.connector), unit.task.0, unit.owner.0, unit.commit.0)
}

/// The unit of a name, if it is one of this connector.
pub(super) fn unit_of(name: &str, connector: &Arc<str>) -> Option<UnitId> {
    let rest = name.strip_prefix(&of_connector(connector))?;
    let number = |from: usize, digits: usize| u64::from_str_radix(rest.get(from..from + digits)?, 16).ok();
    let unit = UnitId {
        connector: Arc::clone(connector),
        task: TaskIndex(u32::try_from(number(0, TASK)?).ok()?),
        owner: OwnerEpoch(number(TASK, EPOCH)?),
        commit: CommitEpoch(number(TASK + EPOCH, EPOCH)?),
    };
    Some(unit).filter(|unit| name_of(unit) == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_unit_and_nobody_elses() {
        let unit = |task, owner, commit| UnitId {
            connector: "g/a".into(),
            task: TaskIndex(task),
            owner: OwnerEpoch(owner),
            commit: CommitEpoch(commit),
        };
        let one = unit(3, 7, 258);
        let name = name_of(&one);
        assert_eq!(name.len(), 64);
        assert!(name.ends_with("00000003000000000007000000000102"), "{name}");
        assert_eq!(unit_of(&name, &one.connector), Some(one));
        assert_eq!(unit_of(&name, &"g/b".into()), None);
        for foreign in
            ["", "x", name.get(..63).unwrap(), &format!("{}zz", name.get(..62).unwrap()), &format!("{name}0")]
        {
            assert_eq!(unit_of(foreign, &"g/a".into()), None, "{foreign}");
        }
        assert!(
            name_of(&unit(3, 7, 9)) < name_of(&unit(3, 7, 10)) && name_of(&unit(3, 7, 10)) < name_of(&unit(3, 8, 1))
        );
        assert!(name_of(&unit(3, 0, 0)) < name && name < name_of(&unit(4, 0, 0)));
    }
}
