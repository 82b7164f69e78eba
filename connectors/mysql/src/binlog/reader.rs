//! A bounds-checked cursor over one event.

/// The input ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Short;

/// A cursor; every read checks the bounds once.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Bytes left.
    pub fn len(&self) -> usize {
        self.rest.len()
    }

    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `n` bytes.
    #[inline(always)]
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], Short> {
        let (head, tail) = self.rest.split_at_checked(n).ok_or(Short)?;
        self.rest = tail;
        Ok(head)
    }

    /// The next `N` bytes as an array.
    #[inline(always)]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or(Short)?;
        self.rest = tail;
        Ok(*head)
    }

    /// One byte.
    #[inline(always)]
    pub fn u8(&mut self) -> Result<u8, Short> {
        self.array::<1>().map(|[b]| b)
    }

    /// Two bytes, little endian.
    #[inline(always)]
    pub fn u16(&mut self) -> Result<u16, Short> {
        self.array().map(u16::from_le_bytes)
    }

    /// Three bytes, little endian.
    #[inline(always)]
    pub fn u24(&mut self) -> Result<u32, Short> {
        let [a, b, c] = self.array()?;
        Ok(u32::from_le_bytes([a, b, c, 0]))
    }

    /// Four bytes, little endian.
    #[inline(always)]
    pub fn u32(&mut self) -> Result<u32, Short> {
        self.array().map(u32::from_le_bytes)
    }

    /// Four bytes, big endian.
    #[inline(always)]
    pub fn be32(&mut self) -> Result<u32, Short> {
        self.array().map(u32::from_be_bytes)
    }

    /// Five bytes, big endian.
    #[inline(always)]
    pub fn be40(&mut self) -> Result<u64, Short> {
        let [a, b, c, d, e] = self.array()?;
        Ok(u64::from_be_bytes([0, 0, 0, a, b, c, d, e]))
    }

    /// Six bytes, little endian.
    #[inline(always)]
    pub fn u48(&mut self) -> Result<u64, Short> {
        let [a, b, c, d, e, f] = self.array()?;
        Ok(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
    }

    /// Eight bytes, little endian.
    #[inline(always)]
    pub fn u64(&mut self) -> Result<u64, Short> {
        self.array().map(u64::from_le_bytes)
    }

    /// Little-endian integer of 1 to 4 bytes: length prefixes.
    #[inline(always)]
    pub fn uint_le(&mut self, width: u8) -> Result<u32, Short> {
        Ok(match width {
            1 => u32::from(self.u8()?),
            2 => u32::from(self.u16()?),
            3 => self.u24()?,
            _ => self.u32()?,
        })
    }

    /// Big-endian integer of up to 8 bytes: temporal types, BIT.
    #[inline(always)]
    pub fn uint_be(&mut self, width: usize) -> Result<u64, Short> {
        Ok(self.bytes(width)?.iter().fold(0, |v, b| v << 8 | u64::from(*b)))
    }

    /// Length-encoded integer.
    pub fn lenenc(&mut self) -> Result<u64, Short> {
        Ok(match self.u8()? {
            0xfc => u64::from(self.u16()?),
            0xfd => u64::from(self.u24()?),
            0xfe => self.u64()?,
            n => u64::from(n),
        })
    }

    /// Length-encoded integer used as a length: never larger than what is left.
    pub fn lenenc_len(&mut self) -> Result<usize, Short> {
        usize::try_from(self.lenenc()?).ok().filter(|n| *n <= self.len()).ok_or(Short)
    }

    /// A text with a length-encoded length.
    pub fn text(&mut self) -> Result<String, Short> {
        let n = self.lenenc_len()?;
        Ok(String::from_utf8_lossy(self.bytes(n)?).into_owned())
    }
}
