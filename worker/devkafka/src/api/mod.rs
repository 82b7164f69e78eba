//! One file for each family of APIs: from the decoded request to the answer. What they do to the state is in the modules
//! of the state; here is what the protocol asks and tells.
mod classic_groups;
mod cluster;
mod configs;
pub(crate) mod fetch;
pub(crate) mod group_waits;
mod modern_groups;
mod offset_fetch;
mod offsets;
mod positions;
mod produce;
mod topics;
mod txn;

use crate::code::{self, Code};

/// The code of a result.
fn code_of<T>(r: &Result<T, Code>) -> Code {
    r.as_ref().err().copied().unwrap_or(code::NONE)
}
