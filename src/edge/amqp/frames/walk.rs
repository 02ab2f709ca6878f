//! Walking over the properties of a message, as lapin would parse them, without recursion and without
//! keeping anything.

/// The most tables and arrays inside each other. lapin takes about 2 KB of stack for each, of 2 MiB;
/// RabbitMQ's own headers have three.
pub(super) const DEPTH_MAX: usize = 32;

/// Bytes of a content header before its properties: class, weight and body size.
pub(super) const PREFIX: usize = 12;

/// Why lapin cannot parse a message's properties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    /// They leave no room in a frame of the negotiated size.
    #[error("its properties and headers have {bytes} bytes, and amqp.frame_max leaves room for {max}")]
    TooLarge {
        /// Their size.
        bytes: usize,
        /// The largest size that is read.
        max: usize,
    },
    /// A header is nested too deep.
    #[error("one of its headers nests more than 32 tables or arrays in each other")]
    TooDeep,
    /// A text that must be UTF-8 is not.
    #[error("one of its properties, or the name of one of its headers, is not UTF-8")]
    NotUtf8,
    /// They break the format.
    #[error("its properties or headers break the format of AMQP 0-9-1")]
    Malformed,
}

/// The type of a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A text of at most 255 bytes.
    Text,
    /// The table of headers.
    Headers,
    /// One byte.
    Byte,
    /// A time.
    Time,
}

/// The properties in the order of their flags, the highest bit first.
pub(super) const PROPERTIES: [Kind; 14] = {
    use Kind::{Byte, Headers, Text, Time};
    [Text, Text, Headers, Byte, Byte, Text, Text, Text, Text, Time, Text, Text, Text, Text]
};

/// Returns the flag of the property at a place in [`PROPERTIES`].
pub(super) fn flag(place: usize) -> u16 {
    0x8000 >> place
}

/// Checks the payload of a content header.
///
/// # Errors
/// [`Unreadable`]
pub(super) fn check(payload: &[u8]) -> Result<(), Unreadable> {
    let mut cursor = Cursor::new(payload);
    cursor.take(PREFIX)?;
    let flags = cursor.u16()?;
    for (place, kind) in PROPERTIES.into_iter().enumerate() {
        if flags & flag(place) == 0 {
            continue;
        }
        match kind {
            Kind::Text => cursor.text()?,
            Kind::Headers => cursor.value_of(b'F')?,
            Kind::Byte => drop(cursor.take(1)?),
            Kind::Time => drop(cursor.take(8)?),
        }
    }
    if cursor.is_at_end() { Ok(()) } else { Err(Unreadable::Malformed) }
}

/// A place in bytes that are being walked over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Starts at the first byte.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Returns whether nothing is left.
    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// Returns the bytes walked over since `earlier`.
    pub(super) fn since(&self, earlier: Self) -> &'a [u8] {
        &self.bytes[earlier.at..self.at]
    }

    /// Steps over `length` bytes and returns them.
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Unreadable> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..length).ok_or(Unreadable::Malformed)?;
        self.at += length;
        Ok(taken)
    }

    /// Steps over at most `length` bytes and returns them.
    pub(super) fn take_at_most(&mut self, length: usize) -> &'a [u8] {
        let rest = &self.bytes[self.at..];
        let taken = &rest[..length.min(rest.len())];
        self.at += taken.len();
        taken
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        self.take(N)?.try_into().map_err(|_| Unreadable::Malformed)
    }

    fn u8(&mut self) -> Result<u8, Unreadable> {
        Ok(self.array::<1>()?[0])
    }

    /// Steps over a number of two bytes.
    pub(super) fn u16(&mut self) -> Result<u16, Unreadable> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// Steps over a length of four bytes.
    pub(super) fn length(&mut self) -> Result<usize, Unreadable> {
        usize::try_from(u32::from_be_bytes(self.array()?)).map_err(|_| Unreadable::Malformed)
    }

    /// Steps over a text of at most 255 bytes, which may not be UTF-8.
    pub(super) fn short(&mut self) -> Result<&'a [u8], Unreadable> {
        let length = self.u8()?;
        self.take(length.into())
    }

    /// Steps over a text of at most 255 bytes.
    pub(super) fn text(&mut self) -> Result<(), Unreadable> {
        let text = self.short()?;
        // Nearly all texts are ASCII, which is cheaper to see.
        if text.is_ascii() || std::str::from_utf8(text).is_ok() { Ok(()) } else { Err(Unreadable::NotUtf8) }
    }

    /// Steps over a value with its type, without a look into tables and arrays.
    pub(super) fn value_unseen(&mut self) -> Result<(), Unreadable> {
        let kind = self.u8()?;
        if let b'F' | b'A' = kind {
            let length = self.length()?;
            self.take(length)?;
            return Ok(());
        }
        self.scalar(kind)
    }

    /// Steps over a value with its type.
    pub(super) fn value(&mut self) -> Result<(), Unreadable> {
        let kind = self.u8()?;
        self.value_of(kind)
    }

    /// Steps over a value of a type. Loops where a parser would recurse.
    fn value_of(&mut self, mut kind: u8) -> Result<(), Unreadable> {
        // The ends of the tables and arrays around this place, and whether each is a table. The table of all
        // headers is not counted.
        let (mut open, mut depth) = ([(0, false); DEPTH_MAX + 1], 0);
        loop {
            if let b'F' | b'A' = kind {
                let length = self.length()?;
                let end = self.at + length;
                if end > self.bytes.len() {
                    return Err(Unreadable::Malformed);
                }
                *open.get_mut(depth).ok_or(Unreadable::TooDeep)? = (end, kind == b'F');
                depth += 1;
            } else {
                self.scalar(kind)?;
            }
            let is_table = loop {
                let Some(around) = depth.checked_sub(1) else { return Ok(()) };
                let (end, is_table) = open[around];
                match self.at.cmp(&end) {
                    std::cmp::Ordering::Less => break is_table,
                    std::cmp::Ordering::Equal => depth = around,
                    std::cmp::Ordering::Greater => return Err(Unreadable::Malformed),
                }
            };
            if is_table {
                self.text()?;
            }
            kind = self.u8()?;
        }
    }

    fn scalar(&mut self, kind: u8) -> Result<(), Unreadable> {
        let length = match kind {
            b'V' => 0,
            b't' | b'b' | b'B' => 1,
            b's' | b'U' | b'u' => 2,
            b'I' | b'i' | b'f' => 4,
            b'D' => 5,
            b'L' | b'l' | b'd' | b'T' => 8,
            b'S' | b'x' => self.length()?,
            _ => return Err(Unreadable::Malformed),
        };
        self.take(length).map(drop)
    }
}
