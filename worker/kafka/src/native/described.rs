//! Topics by name. Unlike the client's own metadata calls this neither asks for every topic of the cluster nor makes the
//! client remember the topics for good.
use super::admin::Call;
use super::{Code, Handle, Refusal, name, text};
use rdkafka_sys as sys;
use std::collections::BTreeMap;
use std::ffi::c_char;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;
use sys::rd_kafka_admin_op_t as Op;

/// Names of one request.
struct Names(NonNull<sys::rd_kafka_TopicCollection_t>);

impl Names {
    fn of(topics: &[String]) -> Result<Self, Refusal> {
        let owned = topics.iter().map(|topic| name(topic)).collect::<Result<Vec<_>, _>>()?;
        let mut pointers: Vec<*const c_char> = owned.iter().map(|name| name.as_ptr()).collect();
        // SAFETY: the array holds live strings of its length, which the collection copies.
        let names = unsafe { sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len()) };
        NonNull::new(names).map(Self).ok_or_else(|| Refusal::of(Code::CriticalSystemResource))
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        // SAFETY: ours, not used afterwards.
        unsafe { sys::rd_kafka_TopicCollection_destroy(self.0.as_ptr()) };
    }
}

impl Handle {
    /// Number of partitions of each of some topics, or why there is no answer for it; no topic is created.
    pub(crate) fn describe_topics(
        self: &Arc<Self>,
        topics: &[String],
        limit: Duration,
    ) -> Result<BTreeMap<String, Result<i32, Code>>, Refusal> {
        if topics.is_empty() {
            return Ok(BTreeMap::new());
        }
        let call = Call::new(self, Op::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, limit)?;
        let names = Names::of(topics)?;
        // SAFETY: everything is live; the request copies the names.
        unsafe { sys::rd_kafka_DescribeTopics(self.raw(), names.0.as_ptr(), call.options(), call.queue()) };
        let answer = call.answer()?;
        // SAFETY: the answer is live while its rows are read; the event is of this kind, else the result is null.
        unsafe {
            let result = sys::rd_kafka_event_DescribeTopics_result(answer.raw());
            if result.is_null() {
                return Err(Refusal::of(Code::Fail));
            }
            let mut count = 0;
            let rows = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
            Ok((0..count).map(|index| row(*rows.add(index))).collect())
        }
    }
}

/// # Safety
/// `row` belongs to a live answer.
unsafe fn row(row: *const sys::rd_kafka_TopicDescription_t) -> (String, Result<i32, Code>) {
    // SAFETY: the row is live; its strings are copied, and the error stays its own.
    unsafe {
        let error = sys::rd_kafka_TopicDescription_error(row);
        let code = if error.is_null() { Code::NoError } else { Refusal::read(error).code };
        let mut partitions = 0;
        sys::rd_kafka_TopicDescription_partitions(row, &raw mut partitions);
        let found = match code {
            Code::NoError => Ok(i32::try_from(partitions).unwrap_or(i32::MAX)),
            code => Err(code),
        };
        (text(sys::rd_kafka_TopicDescription_name(row)), found)
    }
}
