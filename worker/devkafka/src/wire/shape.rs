//! Checks a request's body against its shape before anything is decoded from it.
//!
//! The decoder of the protocol crate reserves memory for whatever array length a client announces: four bytes could ask
//! for gigabytes. So every length is checked here first, against the bytes that are there and against
//! [`REQUEST_ELEMENTS_MAX`].
//!
//! A shape is a string: a number is a field of so many bytes, `s` a string, `b` bytes, `[...]` an array of elements of that
//! shape, `t` the tagged fields. A shape that ends in `t` is of a flexible version: lengths are varints, plus one.
use crate::config::REQUEST_ELEMENTS_MAX;

/// Why a body does not have its shape.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Misshapen {
    #[error("it ends inside a field")]
    Short,
    #[error("a length is negative")]
    Length,
    #[error("its arrays have more than {REQUEST_ELEMENTS_MAX} elements")]
    Elements,
}

/// What a body of the right shape holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shaped {
    /// Elements of all arrays and tagged fields together.
    pub(crate) elements: usize,
    /// Bytes behind the last field; Kafka ignores them, so does this broker.
    pub(crate) trailing: usize,
}

/// Checks that `body` begins with fields of this shape.
pub(crate) fn check(shape: &str, body: &[u8]) -> Result<Shaped, Misshapen> {
    let mut walk = Walk { rest: body, flexible: shape.ends_with('t'), elements: 0 };
    walk.fields(shape)?;
    Ok(Shaped { elements: walk.elements, trailing: walk.rest.len() })
}

/// Length of the request header in front of `body`, which begins at the API key.
pub(crate) fn header_length(flexible: bool, frame: &[u8]) -> Result<usize, Misshapen> {
    let mut walk = Walk { rest: frame, flexible: false, elements: 0 };
    walk.fields("2 2 4 s")?; // the client id keeps its short length in every version
    if flexible {
        walk.tagged()?;
    }
    Ok(frame.len() - walk.rest.len())
}

struct Walk<'a> {
    rest: &'a [u8],
    flexible: bool,
    elements: usize,
}

impl<'a> Walk<'a> {
    fn fields(&mut self, shape: &str) -> Result<(), Misshapen> {
        let mut rest = shape;
        while let Some((field, after)) = next_field(rest) {
            match field.as_bytes() {
                [b's'] => self.text()?,
                [b'b'] => self.blob()?,
                [b't'] => self.tagged()?,
                [b'[', ..] => self.array(inner(field))?,
                _ => drop(self.take(field.parse().unwrap_or(0))?),
            }
            rest = after;
        }
        Ok(())
    }

    fn array(&mut self, element: &str) -> Result<(), Misshapen> {
        let Some(n) = self.length(4)? else { return Ok(()) };
        if n > self.rest.len() {
            return Err(Misshapen::Short); // an element has at least one byte
        }
        self.count(n)?;
        for _ in 0..n {
            self.fields(element)?;
        }
        Ok(())
    }

    fn tagged(&mut self) -> Result<(), Misshapen> {
        let n = self.varint()?;
        if n > self.rest.len() {
            return Err(Misshapen::Short);
        }
        self.count(n)?;
        for _ in 0..n {
            self.varint()?;
            let size = self.varint()?;
            self.take(size)?;
        }
        Ok(())
    }

    fn text(&mut self) -> Result<(), Misshapen> {
        let n = self.length(2)?;
        self.take(n.unwrap_or(0)).map(drop)
    }

    fn blob(&mut self) -> Result<(), Misshapen> {
        let n = self.length(4)?;
        self.take(n.unwrap_or(0)).map(drop)
    }

    fn count(&mut self, n: usize) -> Result<(), Misshapen> {
        self.elements = self.elements.saturating_add(n);
        if self.elements > REQUEST_ELEMENTS_MAX { Err(Misshapen::Elements) } else { Ok(()) }
    }

    /// A length field: `None` stands for null.
    fn length(&mut self, width: usize) -> Result<Option<usize>, Misshapen> {
        if self.flexible {
            return Ok(self.varint()?.checked_sub(1));
        }
        let n = self.take(width)?.iter().fold(0u32, |n, b| (n << 8) | u32::from(*b));
        let signed = if width == 2 { i32::from(n as u16 as i16) } else { n as i32 };
        match signed {
            -1 => Ok(None),
            n => usize::try_from(n).map(Some).map_err(|_| Misshapen::Length),
        }
    }

    /// At most five bytes, as the decoder reads it.
    fn varint(&mut self) -> Result<usize, Misshapen> {
        let mut value = 0u32;
        for i in 0..5 {
            let byte = self.take(1)?.first().copied().unwrap_or_default();
            value |= u32::from(byte & 0x7f) << (i * 7);
            if byte < 0x80 {
                break;
            }
        }
        Ok(value as usize)
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], Misshapen> {
        let (head, tail) = self.rest.split_at_checked(n).ok_or(Misshapen::Short)?;
        self.rest = tail;
        Ok(head)
    }
}

/// The first field of a shape, and what follows it.
fn next_field(shape: &str) -> Option<(&str, &str)> {
    let shape = shape.trim_start();
    let (mut depth, mut end) = (0, shape.len());
    for (i, c) in shape.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            ' ' if depth == 0 => {
                end = i;
                break;
            }
            _ => {}
        }
    }
    if shape.is_empty() { None } else { shape.split_at_checked(end) }
}

fn inner(field: &str) -> &str {
    field.strip_prefix('[').and_then(|f| f.strip_suffix(']')).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_of_its_shape_is_accepted_and_its_elements_are_counted() {
        let body = [0, 2, b'a', b'b', 0, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0, 8];
        assert_eq!(check("s [4]", &body), Ok(Shaped { elements: 2, trailing: 0 }));
    }

    #[test]
    fn an_announced_length_beyond_the_body_is_refused() {
        assert_eq!(check("[4]", &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1]), Err(Misshapen::Short));
        assert_eq!(check("s", &[0, 9, 1]), Err(Misshapen::Short));
        assert_eq!(check("[s t] t", &[0xff, 0xff, 0xff, 0xff, 0x0f, 0]), Err(Misshapen::Short));
    }

    #[test]
    fn a_negative_length_other_than_null_is_refused() {
        assert_eq!(check("s", &[0xff, 0xff]), Ok(Shaped { elements: 0, trailing: 0 }));
        assert_eq!(check("s", &[0xff, 0xfe]), Err(Misshapen::Length));
        assert_eq!(check("[4]", &[0x80, 0, 0, 0]), Err(Misshapen::Length));
    }

    #[test]
    fn bytes_behind_the_last_field_are_counted() {
        assert_eq!(check("4", &[0; 6]), Ok(Shaped { elements: 0, trailing: 2 }));
    }

    #[test]
    fn elements_of_all_arrays_together_are_limited() {
        let array = |n: usize| [&u32::try_from(n).unwrap().to_be_bytes()[..], &vec![0; 4 * n]].concat();
        let most = Ok(Shaped { elements: REQUEST_ELEMENTS_MAX, trailing: 0 });
        assert_eq!(check("[4]", &array(REQUEST_ELEMENTS_MAX)), most);
        assert_eq!(check("[4]", &array(REQUEST_ELEMENTS_MAX + 1)), Err(Misshapen::Elements));
    }

    #[test]
    fn arrays_nest() {
        // one topic "t" with two partitions of 12 bytes, flexible
        let body = [&[2, 2, b't', 3][..], &[0; 4], &[1; 8], &[0], &[0; 4], &[1; 8], &[0], &[0], &[0]].concat();
        assert_eq!(check("[s [4 8 t] t] t", &body), Ok(Shaped { elements: 3, trailing: 0 }));
    }
}
