//! Replacing properties that lapin cannot parse.

use super::walk::{Cursor, Kind, PREFIX, PROPERTIES, Unreadable, flag};

/// The header of a message whose properties were replaced; holds the cause, in words.
pub(in crate::edge::amqp) const UNREADABLE: &str = "x-hookswitch-unreadable";

/// Prefixes of the headers that are kept where they can be read: those that the program reads. The first
/// come first where there is no room for all.
const KEPT: [&[u8]; 3] = [b"hookswitch", b"x-", b"http-"];

/// Returns the payload of a content header that lapin can parse in place of `payload`, which may be cut off.
/// The class and the size of the body stay; properties and headers stay where they can be read, the headers
/// within `room` bytes.
pub(super) fn repaired(payload: &[u8], cause: Unreadable, room: usize) -> Vec<u8> {
    let mut repaired = payload[..PREFIX.min(payload.len())].to_vec();
    repaired.resize(PREFIX, 0);
    let mut properties = Properties { flags: 0, bytes: Vec::new(), headers: marked(cause) };
    properties.keep_from(payload, room);
    repaired.extend(properties.flags.to_be_bytes());
    repaired.extend(properties.bytes);
    repaired
}

/// The properties to send, as far as they are known.
struct Properties {
    flags: u16,
    bytes: Vec<u8>,
    /// The entries of the table of headers; empty once the table is written.
    headers: Vec<u8>,
}

impl Properties {
    /// Keeps what can be read up to the place where the format breaks.
    fn keep_from(&mut self, payload: &[u8], room: usize) {
        let mut cursor = Cursor::new(payload);
        let flags = cursor.take(PREFIX).and_then(|_| cursor.u16()).unwrap_or(0);
        let mut is_intact = true;
        for (place, kind) in PROPERTIES.into_iter().enumerate() {
            let has_it = flags & flag(place) != 0 && is_intact;
            if kind == Kind::Headers {
                if has_it {
                    is_intact = self.keep_headers(&mut cursor, room).is_ok();
                }
                self.put_headers(place);
            } else if has_it {
                is_intact = self.keep(&mut cursor, place, kind).is_ok();
            }
        }
    }

    /// Keeps a property unless it is not UTF-8.
    fn keep(&mut self, cursor: &mut Cursor<'_>, place: usize, kind: Kind) -> Result<(), Unreadable> {
        let before = *cursor;
        let is_readable = match kind {
            Kind::Text => std::str::from_utf8(cursor.short()?).is_ok(),
            Kind::Byte => cursor.take(1).map(|_| true)?,
            Kind::Time => cursor.take(8).map(|_| true)?,
            Kind::Headers => false,
        };
        if is_readable {
            self.flags |= flag(place);
            self.bytes.extend(cursor.since(before));
        }
        Ok(())
    }

    fn keep_headers(&mut self, cursor: &mut Cursor<'_>, room: usize) -> Result<(), Unreadable> {
        let length = cursor.length()?;
        let table = cursor.take_at_most(length);
        for prefix in KEPT {
            for entry in entries(table).filter(|entry| entry[1..].starts_with(prefix)) {
                if self.headers.len() + entry.len() <= room {
                    self.headers.extend(entry);
                }
            }
        }
        Ok(())
    }

    /// Writes the table of headers, of which there is always one.
    fn put_headers(&mut self, place: usize) {
        self.flags |= flag(place);
        let headers = std::mem::take(&mut self.headers);
        self.bytes.extend(u32::try_from(headers.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.bytes.extend(headers);
    }
}

/// Returns the entry that names the cause.
fn marked(cause: Unreadable) -> Vec<u8> {
    let cause = cause.to_string();
    let mut entry = vec![u8::try_from(UNREADABLE.len()).unwrap_or(u8::MAX)];
    entry.extend(UNREADABLE.as_bytes());
    entry.push(b'S');
    entry.extend(u32::try_from(cause.len()).unwrap_or(u32::MAX).to_be_bytes());
    entry.extend(cause.as_bytes());
    entry
}

/// Returns the entries of a table that can be read, each as its bytes: the length of its name, the name, and
/// the value.
fn entries(table: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut cursor = Cursor::new(table);
    std::iter::from_fn(move || {
        loop {
            let before = cursor;
            let name = cursor.short().ok()?;
            let mut value = cursor;
            cursor.value_unseen().ok()?;
            if std::str::from_utf8(name).is_ok() && value.value().is_ok() {
                return Some(cursor.since(before));
            }
        }
    })
}
