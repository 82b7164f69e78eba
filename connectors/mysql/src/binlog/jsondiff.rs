//! Partial updates of JSON: steps that turn the document before into the one after.
use super::jsonb;
use super::{DecodeError, Reader};

/// Nesting that is followed; deeper documents do not exist on the server.
const DEPTH: usize = 110;

/// A document; leaves keep their text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Leaf(String),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
}

/// A step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Leg {
    Member(String),
    Cell(usize),
}

const BROKEN: DecodeError = DecodeError::Json("a partial update does not fit the document before it");

/// Applies the steps to the text of the document before; both texts are as [`jsonb::text`] writes them.
///
/// # Errors
/// The bytes break the format, or a path leads nowhere.
pub fn apply(before: &str, diffs: &[u8]) -> Result<String, DecodeError> {
    let mut text = before;
    let mut root = parse(&mut text, DEPTH)?;
    let mut r = Reader::new(diffs);
    while !r.is_empty() {
        let operation = r.u8()?;
        let path = r.text()?;
        let legs = legs(&path)?;
        let value = match operation {
            0 | 1 => {
                let n = r.lenenc_len()?;
                let plain = jsonb::text(r.bytes(n)?)?;
                Some(parse(&mut plain.as_str(), DEPTH)?)
            }
            2 => None,
            _ => return Err(DecodeError::Json("unknown step of a partial update")),
        };
        step(&mut root, &legs, operation == 1, value)?;
    }
    let mut out = String::with_capacity(before.len());
    write(&root, &mut out);
    Ok(out)
}

fn step(root: &mut Node, legs: &[Leg], insert: bool, value: Option<Node>) -> Result<(), DecodeError> {
    let Some((last, parents)) = legs.split_last() else {
        *root = value.filter(|_| !insert).ok_or(BROKEN)?;
        return Ok(());
    };
    let mut node = root;
    for leg in parents {
        node = child(node, leg).ok_or(BROKEN)?;
    }
    match (value, last) {
        (Some(value), _) if !insert => *child(node, last).ok_or(BROKEN)? = value,
        (Some(value), Leg::Cell(i)) => match node {
            Node::Array(cells) => cells.insert((*i).min(cells.len()), value),
            _ => return Err(BROKEN),
        },
        (Some(value), Leg::Member(name)) => match node {
            Node::Object(members) => {
                // The server keeps members in the order of length, then bytes.
                let at = members.partition_point(|(n, _)| (n.len(), n.as_str()) < (name.len(), name.as_str()));
                members.insert(at, (name.clone(), value));
            }
            _ => return Err(BROKEN),
        },
        (None, Leg::Cell(i)) => match node {
            Node::Array(cells) if *i < cells.len() => drop(cells.remove(*i)),
            _ => return Err(BROKEN),
        },
        (None, Leg::Member(name)) => match node {
            Node::Object(members) => {
                let at = members.iter().position(|(n, _)| n == name).ok_or(BROKEN)?;
                members.remove(at);
            }
            _ => return Err(BROKEN),
        },
    }
    Ok(())
}

fn child<'a>(node: &'a mut Node, leg: &Leg) -> Option<&'a mut Node> {
    match (node, leg) {
        (Node::Array(cells), Leg::Cell(i)) => cells.get_mut(*i),
        (Node::Object(members), Leg::Member(name)) => members.iter_mut().find(|(n, _)| n == name).map(|(_, v)| v),
        // A value that is no array counts as one with a single cell.
        (node, Leg::Cell(0)) => Some(node),
        _ => None,
    }
}

/// `$.a[3]."b c"`.
fn legs(path: &str) -> Result<Vec<Leg>, DecodeError> {
    let bad = DecodeError::Json("the path of a partial update cannot be read");
    let mut rest = path.trim_start().strip_prefix('$').ok_or_else(|| bad.clone())?;
    let mut legs = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let (number, after) = after.split_once(']').ok_or_else(|| bad.clone())?;
            legs.push(Leg::Cell(number.trim().parse().map_err(|_| bad.clone())?));
            rest = after;
        } else if let Some(after) = rest.strip_prefix('.') {
            if after.starts_with('"') {
                rest = after;
                legs.push(Leg::Member(unescape(quoted(&mut rest)?)));
            } else {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                let (name, after) = after.split_at_checked(end).ok_or_else(|| bad.clone())?;
                legs.push(Leg::Member(name.to_owned()));
                rest = after;
            }
        } else {
            return Err(bad);
        }
    }
    Ok(legs)
}

/// Takes a string with its quotes off the text; what is between them is given back as it stands.
fn quoted<'a>(text: &mut &'a str) -> Result<&'a str, DecodeError> {
    let bad = DecodeError::Json("a string does not end");
    let inner = text.strip_prefix('"').ok_or_else(|| bad.clone())?;
    let mut escaped = false;
    for (i, c) in inner.char_indices() {
        match c {
            '"' if !escaped => {
                let (body, after) = inner.split_at_checked(i).ok_or_else(|| bad.clone())?;
                *text = after.strip_prefix('"').unwrap_or_default();
                return Ok(body);
            }
            _ => escaped = c == '\\' && !escaped,
        }
    }
    Err(bad)
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('b') => out.push('\u{8}'),
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('f') => out.push('\u{c}'),
            Some('r') => out.push('\r'),
            Some('u') => {
                let code = chars.by_ref().take(4).fold(0, |v, c| v << 4 | c.to_digit(16).unwrap_or(0));
                out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

/// Reads a text without blanks outside strings.
fn parse(text: &mut &str, depth: usize) -> Result<Node, DecodeError> {
    let depth = depth.checked_sub(1).ok_or(DecodeError::Json("nested too deeply"))?;
    match text.chars().next() {
        Some('"') => Ok(Node::Leaf(format!("\"{}\"", quoted(text)?))),
        Some('[') => {
            let mut cells = Vec::new();
            members(text, ']', |text| {
                cells.push(parse(text, depth)?);
                Ok(())
            })?;
            Ok(Node::Array(cells))
        }
        Some('{') => {
            let mut found = Vec::new();
            members(text, '}', |text| {
                let name = unescape(quoted(text)?);
                *text = text.strip_prefix(':').ok_or(BROKEN)?;
                found.push((name, parse(text, depth)?));
                Ok(())
            })?;
            Ok(Node::Object(found))
        }
        Some(_) => {
            let end = text.find([',', ']', '}']).unwrap_or(text.len());
            let (leaf, rest) = text.split_at_checked(end).filter(|(leaf, _)| !leaf.is_empty()).ok_or(BROKEN)?;
            *text = rest;
            Ok(Node::Leaf(leaf.to_owned()))
        }
        None => Err(BROKEN),
    }
}

/// Reads what stands between brackets, separated by commas.
fn members(
    text: &mut &str,
    close: char,
    mut each: impl FnMut(&mut &str) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    *text = text.get(1..).unwrap_or_default();
    if let Some(rest) = text.strip_prefix(close) {
        *text = rest;
        return Ok(());
    }
    loop {
        each(text)?;
        if let Some(rest) = text.strip_prefix(',') {
            *text = rest;
        } else {
            *text = text.strip_prefix(close).ok_or(BROKEN)?;
            return Ok(());
        }
    }
}

fn write(node: &Node, out: &mut String) {
    match node {
        Node::Leaf(text) => out.push_str(text),
        Node::Array(cells) => {
            out.push('[');
            for (i, cell) in cells.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(cell, out);
            }
            out.push(']');
        }
        Node::Object(members) => {
            out.push('{');
            for (i, (name, value)) in members.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                jsonb::string(name.as_bytes(), out);
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A step with a 16-bit number as its value.
    fn diff(operation: u8, path: &str, value: Option<u8>) -> Vec<u8> {
        let mut out = vec![operation, u8::try_from(path.len()).unwrap()];
        out.extend_from_slice(path.as_bytes());
        out.extend(value.iter().flat_map(|v| [3, 5, *v, 0]));
        out
    }

    #[test]
    fn members_and_cells_are_replaced_inserted_and_removed() {
        let before = r#"{"a":[1,2.50,"x]"],"b c":{"d":null},"é\"":1e300}"#;
        for (step, expected) in [
            (diff(0, "$.a[1]", Some(7)), r#"{"a":[1,7,"x]"],"b c":{"d":null},"é\"":1e300}"#),
            (diff(1, "$.a[0]", Some(7)), r#"{"a":[7,1,2.50,"x]"],"b c":{"d":null},"é\"":1e300}"#),
            (diff(1, "$.a[9]", Some(7)), r#"{"a":[1,2.50,"x]",7],"b c":{"d":null},"é\"":1e300}"#),
            (diff(1, "$.z", Some(7)), r#"{"a":[1,2.50,"x]"],"z":7,"b c":{"d":null},"é\"":1e300}"#),
            (diff(2, "$.\"b c\".d", None), r#"{"a":[1,2.50,"x]"],"b c":{},"é\"":1e300}"#),
            (diff(2, "$.\"é\\\"\"", None), r#"{"a":[1,2.50,"x]"],"b c":{"d":null}}"#),
            (diff(0, "$", Some(7)), "7"),
        ] {
            assert_eq!(apply(before, &step).unwrap(), expected);
        }
    }

    #[test]
    fn paths_that_lead_nowhere_are_errors() {
        for path in ["$.x", "$.a.b", "$[3]", "a", "$.a[x]", "$..", "$.\"a"] {
            assert!(apply(r#"{"a":[]}"#, &diff(0, path, Some(1))).is_err(), "{path}");
        }
        assert!(apply("{\"a\":", &diff(0, "$", Some(1))).is_err());
        assert!(apply("{}", &[9, 1, b'$']).is_err());
    }
}
