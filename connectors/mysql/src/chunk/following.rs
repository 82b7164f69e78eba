//! Tables that are read after the one of a chunk: whether one of them has rows tells which row is the last of all.
use std::sync::Arc;

/// Database and name of a table.
type Name = (String, String);

/// The rest of a list of tables. The list is shared: with thousands of tables, each of them is followed by thousands.
#[derive(Debug, Clone)]
pub struct Following {
    list: Arc<[Name]>,
    from: usize,
}

impl Following {
    /// The tables of a list from a place on.
    pub fn new(list: &Arc<[Name]>, from: usize) -> Self {
        Self { list: Arc::clone(list), from }
    }

    /// The tables, first to last.
    pub(super) fn tables(&self) -> &[Name] {
        self.list.get(self.from..).unwrap_or_default()
    }
}

/// Where the first table with rows stands in a list, as far as it was asked: no table is asked twice, however many are empty.
#[derive(Debug, Default)]
pub(super) struct FirstWithRows(Option<(Arc<[Name]>, Option<usize>)>);

impl FirstWithRows {
    /// What is known already; none if tables have to be asked.
    pub(super) fn known(&self, following: &Following) -> Option<bool> {
        let (list, first) = self.0.as_ref()?;
        if !Arc::ptr_eq(list, &following.list) {
            return None;
        }
        match first {
            None => Some(false),
            Some(at) => (*at >= following.from).then_some(true),
        }
    }

    /// Notes which of the tables that follow was the first with rows.
    pub(super) fn learn(&mut self, following: &Following, first: Option<usize>) -> bool {
        self.0 = Some((Arc::clone(&following.list), first.map(|at| following.from + at)));
        first.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(count: usize) -> Arc<[Name]> {
        (0..count).map(|n| ("db".to_owned(), format!("t{n}"))).collect()
    }

    #[test]
    fn a_table_that_was_found_to_have_rows_is_known_until_it_is_reached() {
        let (list, mut first) = (list(10), FirstWithRows::default());
        assert_eq!(first.known(&Following::new(&list, 1)), None);
        assert!(first.learn(&Following::new(&list, 1), Some(3)), "t4 has rows");
        assert_eq!(first.known(&Following::new(&list, 4)), Some(true));
        let after = Following::new(&list, 5);
        assert_eq!((first.known(&after), after.tables()), (None, &list[5..]));
    }

    #[test]
    fn tables_without_rows_are_asked_once_and_another_list_is_asked_anew() {
        let (mine, mut first) = (list(3), FirstWithRows::default());
        assert!(!first.learn(&Following::new(&mine, 1), None));
        assert_eq!(first.known(&Following::new(&mine, 2)), Some(false));
        assert_eq!(first.known(&Following::new(&list(3), 2)), None);
    }
}
