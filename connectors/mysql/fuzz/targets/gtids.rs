//! Sets of transactions, as text and in events.
use elasticflow_mysql::binlog::event;
use elasticflow_mysql::gtid::{GtidSet, MariaGtids};

/// Two sets with a line end between them, and the body of an event.
///
/// # Panics
/// A set is not what it says of itself, or the laws of sets do not hold.
pub fn gtid_set(data: &[u8]) {
    drop((event::gtid(data), event::gtid_tagged(data), event::maria_gtid(data, 1)));
    drop((event::rotate(data), event::has_checksums(data)));
    drop((event::query(data, false), event::query(data, true)));
    let text = String::from_utf8_lossy(data);
    let (one, two) = text.split_once('\n').unwrap_or((&text, ""));
    if let (Ok(one), Ok(two)) = (GtidSet::parse(one), GtidSet::parse(two)) {
        sets(&one, &two);
    }
    if let Ok(gtids) = MariaGtids::parse(one) {
        assert_eq!(MariaGtids::parse(&gtids.to_string()).as_ref(), Ok(&gtids));
    }
    drop(MariaGtids::list(two));
}

fn sets(one: &GtidSet, two: &GtidSet) {
    assert_eq!(GtidSet::parse(&one.to_string()).as_ref(), Ok(one));
    let both = one.clone().union(two);
    assert!(both.contains_all(one) && both.contains_all(two));
    let rest = one.subtract(two);
    assert!(one.contains_all(&rest));
    assert_eq!(rest.clone().union(two), both);
    assert_eq!(rest.is_empty(), two.contains_all(one));
}
