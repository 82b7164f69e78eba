//! Version ranges of plug-ins, in Maven's notation: `[1.0,9.0)`, `1.2` for exactly that.
use std::cmp::Ordering;

/// Why a version does not do; `None` when it does. A blank range includes everything, one that does not parse nothing.
pub(super) fn mismatch(class: &str, version: &str, range: &str) -> Option<String> {
    let range = range.trim();
    let shown = if range.starts_with(['[', '(']) { range.to_owned() } else { format!("[{range},{range}]") };
    if range.is_empty() || includes(&shown, version) {
        return None;
    }
    Some(format!("Plugin {class} not found that matches the version range {shown}, available versions: [{version}]"))
}

fn includes(range: &str, version: &str) -> bool {
    let (Some(open), Some(close)) = (range.chars().next(), range.chars().last()) else { return false };
    let inner = range.strip_prefix(open).and_then(|r| r.strip_suffix(close));
    let Some((low, high)) = inner.map(|i| i.split_once(',').unwrap_or((i, i))) else { return false };
    let above = low.trim().is_empty()
        || match compare(version, low) {
            Ordering::Greater => true,
            Ordering::Equal => open == '[',
            Ordering::Less => false,
        };
    let below = high.trim().is_empty()
        || match compare(version, high) {
            Ordering::Less => true,
            Ordering::Equal => close == ']',
            Ordering::Greater => false,
        };
    above && below
}

/// Numbers as numbers, missing parts as 0, a qualifier below its absence.
fn compare(a: &str, b: &str) -> Ordering {
    let parts = |text: &str| -> (Vec<u64>, String) {
        let text = text.trim();
        let (numbers, qualifier) = text.split_once('-').unwrap_or((text, ""));
        (numbers.split('.').map(|n| n.parse().unwrap_or(0)).collect(), qualifier.to_owned())
    };
    let ((mut a, qa), (mut b, qb)) = (parts(a), parts(b));
    let length = a.len().max(b.len());
    a.resize(length, 0);
    b.resize(length, 0);
    a.cmp(&b).then_with(|| qb.is_empty().cmp(&qa.is_empty()).reverse()).then_with(|| qa.cmp(&qb))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_include_and_exclude_their_ends() {
        for (range, version, fits) in [
            ("[1.0,9.0)", "4.3.0", true),
            ("[1.0,9.0)", "9.0.0", false),
            ("[1.0,9.0]", "9.0.0", true),
            ("(4.3,)", "4.3.0", false),
            ("[,5]", "4.3.0", true),
            ("4.3.0", "4.3.0", true),
            ("4.3", "4.3.0", true),
            ("99", "4.3.0", false),
            ("[4.10,5)", "4.9", false),
            ("nonsense", "4.3.0", false),
            ("[4.3.0,5)", "4.3.0-rc1", false),
            ("", "4.3.0", true),
        ] {
            assert_eq!(mismatch("C", version, range).is_none(), fits, "{version} in {range}");
        }
        assert_eq!(
            mismatch("a.B", "4.3.0", "99").as_deref(),
            Some("Plugin a.B not found that matches the version range [99,99], available versions: [4.3.0]")
        );
    }
}
