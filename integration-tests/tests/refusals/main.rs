//! Bad input and absent servers, from outside: what a user sees over REST when something is wrong, and that nothing is
//! lost when it becomes right again. The worker is a child process; Kafka is the embedded development broker unless a test
//! says otherwise.
mod ground;
mod kafka_down;
mod mysql;
mod posted;
mod search;
