//! The known name that a misspelt one probably means.

/// The nearest of the known names, unless all are too far away to be meant.
///
/// Distance counts inserted, deleted, replaced and swapped characters, without regard to case; a third of the name may
/// be wrong. Names that differ only by a leading package (`a.b.Name` and `Name`) are near.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = name.to_lowercase().chars().take(LONGEST).collect();
    let allowed = (wanted.len() / 3).max(1);
    known
        .into_iter()
        .filter_map(|candidate| {
            let full = distance(&wanted, candidate);
            let simple = candidate.rsplit('.').next().map_or(full, |short| distance(&wanted, short));
            // Of two that are as near by their last part, the one whose whole name is nearer.
            Some(((full.min(simple), full), candidate)).filter(|((d, _), _)| *d <= allowed)
        })
        .min_by_key(|(d, _)| *d)
        .map(|(_, candidate)| candidate)
}

/// Names from outside are cut at this length: the work grows with its square.
const LONGEST: usize = 200;

/// Optimal string alignment distance.
fn distance(wanted: &[char], candidate: &str) -> usize {
    let candidate: Vec<char> = candidate.to_lowercase().chars().take(LONGEST).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=candidate.len()).collect();
    for (i, a) in wanted.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in candidate.iter().enumerate() {
            let replaced = last[j] + usize::from(a != b);
            let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == candidate[j - 1] && wanted[i - 1] == *b {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_misspelt_name() {
        let known = ["tasks.max", "topics", "topics.regex", "errors.tolerance"];
        assert_eq!(nearest("task.max", known), Some("tasks.max"));
        assert_eq!(nearest("tpoics", known), Some("topics"));
        assert_eq!(nearest("Errors.Tolerence", known), Some("errors.tolerance"));
        assert_eq!(nearest("database.hostname", known), None);
        assert_eq!(nearest("", known), None);
    }

    #[test]
    fn compares_classes_by_their_simple_name_too() {
        let known =
            ["io.debezium.connector.mysql.MySqlConnector", "org.apache.kafka.connect.file.FileStreamSinkConnector"];
        assert_eq!(nearest("MySqlConector", known), Some(known[0]));
    }
}
