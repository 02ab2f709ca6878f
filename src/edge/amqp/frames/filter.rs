//! Cutting what the broker sends into frames, and replacing those that lapin cannot parse.

use super::{
    repair::repaired,
    walk::{Cursor, Unreadable, check},
};

/// Bytes that are read at a time.
const CHUNK: usize = 64 << 10;

/// The most bytes of a frame that are looked at: of a larger one the rest is dropped.
const LOOKED_AT_MAX: usize = 1 << 20;

/// Bytes of a frame before its payload: type, channel and size.
const HEAD: usize = 7;
const END_MARK: u8 = 0xCE;

const METHOD: u8 = 1;
const CONTENT_HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;

/// Methods of the broker that hold names of another publisher's choice: class and method, the bytes between
/// them and the names, and the number of names.
const NAMING: [([u8; 4], Names); 3] = [
    // basic.deliver, after the consumer's tag.
    ([0, 60, 0, 60], Names { tag: true, skipped: 9, count: 2 }),
    // basic.get-ok
    ([0, 60, 0, 71], Names { tag: false, skipped: 9, count: 2 }),
    // basic.return
    ([0, 60, 0, 50], Names { tag: false, skipped: 2, count: 3 }),
];

/// Class and method of connection.tune.
const TUNE: [u8; 4] = [0, 10, 0, 30];

/// The places of names in a method.
#[derive(Clone, Copy)]
struct Names {
    tag: bool,
    skipped: usize,
    count: usize,
}

/// The bytes from the broker on their way to lapin. Does no I/O.
///
/// The frames of bodies pass as they arrive. Methods and content headers wait until they are complete.
#[derive(Debug)]
pub(super) struct Filter {
    /// The largest frame that was negotiated.
    frame_max: usize,
    /// Everything before `given` has been taken, and everything before `checked` may be; `end` is where the
    /// bytes from the broker end.
    bytes: Vec<u8>,
    given: usize,
    checked: usize,
    end: usize,
    /// Bytes of the present frame that are still to come, and pass.
    passing: usize,
    /// Bytes of the present frame that are still to come, and are dropped.
    dropping: usize,
}

impl Filter {
    /// Creates a filter for a connection that asks for frames of at most `frame_max` bytes.
    pub(super) fn new(frame_max: u32) -> Self {
        let frame_max = usize::try_from(frame_max).unwrap_or(usize::MAX);
        let bytes = vec![0; 2 * CHUNK];
        Self { frame_max, bytes, given: 0, checked: 0, end: 0, passing: 0, dropping: 0 }
    }

    /// Returns room for bytes from the broker.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.bytes.len() - self.end < CHUNK {
            self.bytes.resize(self.end + CHUNK, 0);
        }
        &mut self.bytes[self.end..]
    }

    /// Takes note that the broker has sent the next `count` bytes, which are in the room.
    pub(super) fn received(&mut self, count: usize) {
        self.end += count;
        while self.step() {}
    }

    /// Returns the bytes that lapin may read.
    pub(super) fn ready(&self) -> &[u8] {
        &self.bytes[self.given..self.checked]
    }

    /// Takes note that lapin has read `count` of these bytes.
    pub(super) fn given(&mut self, count: usize) {
        self.given += count;
        if self.given < self.checked {
            return;
        }
        self.bytes.copy_within(self.checked..self.end, 0);
        self.end -= self.checked;
        (self.given, self.checked) = (0, 0);
        if self.end == 0 && self.bytes.len() > 4 * CHUNK {
            self.bytes.truncate(2 * CHUNK);
            self.bytes.shrink_to_fit();
        }
    }

    /// Checks the next frame, or a part of it. Returns false if more bytes must come first.
    fn step(&mut self) -> bool {
        let there = self.end - self.checked;
        if self.dropping > 0 {
            let dropped = self.dropping.min(there);
            self.bytes.copy_within(self.checked + dropped..self.end, self.checked);
            self.end -= dropped;
            self.dropping -= dropped;
            return dropped > 0;
        }
        if self.passing > 0 {
            let passed = self.passing.min(there);
            self.checked += passed;
            self.passing -= passed;
            return passed > 0;
        }
        let head = &self.bytes[self.checked..self.end];
        let &[kind, _, _, a, b, c, d, ..] = head else { return false };
        let payload = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        let whole = payload.saturating_add(HEAD + 1);
        match kind {
            CONTENT_HEADER => self.content_header(payload, whole),
            METHOD if whole <= self.frame_max => self.method(payload, whole),
            METHOD | BODY | HEARTBEAT => {
                self.passing = whole;
                true
            }
            // No frame: lapin reports that.
            _ => {
                self.passing = usize::MAX;
                true
            }
        }
    }

    /// Checks a content header, and replaces it if lapin cannot parse it.
    fn content_header(&mut self, payload: usize, whole: usize) -> bool {
        let looked_at = whole.min(LOOKED_AT_MAX);
        if self.end - self.checked < looked_at {
            return false;
        }
        let frame = &self.bytes[self.checked..self.checked + looked_at];
        let content = &frame[HEAD..looked_at.min(HEAD + payload)];
        // A letter or a retry carries some more headers than the message that it is made of.
        let max = self.frame_max - self.frame_max / 8;
        let checked =
            if payload > max { Err(Unreadable::TooLarge { bytes: payload, max }) } else { check(content) };
        match checked {
            Ok(()) => self.checked += whole,
            Err(cause) => {
                let mut replaced = frame[..3].to_vec();
                let content = repaired(content, cause, self.frame_max / 2);
                replaced.extend(u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes());
                replaced.extend(content);
                replaced.push(END_MARK);
                let length = replaced.len();
                self.bytes.splice(self.checked..self.checked + looked_at, replaced);
                self.checked += length;
                self.end = self.end - looked_at + length;
                self.dropping = whole - looked_at;
            }
        }
        true
    }

    /// Makes the names in a method readable, and learns the negotiated size of frames.
    fn method(&mut self, payload: usize, whole: usize) -> bool {
        if self.end - self.checked < whole {
            return false;
        }
        let content = &mut self.bytes[self.checked + HEAD..self.checked + HEAD + payload];
        self.checked += whole;
        let Some((method, arguments)) = content.split_first_chunk_mut::<4>() else { return true };
        if let Some((_, names)) = NAMING.iter().find(|(naming, _)| naming == method) {
            make_readable(arguments, *names);
        } else if let (&mut TUNE, [_, _, a, b, c, d, ..]) = (method, arguments) {
            let offered = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX);
            // 0 says that the broker sets no limit.
            if offered > 0 {
                self.frame_max = self.frame_max.min(offered);
            }
        }
        true
    }
}

/// Puts `?` for every byte that is not ASCII into names that are not UTF-8. The program reads none of them.
fn make_readable(arguments: &mut [u8], Names { tag, skipped, count }: Names) {
    let length = |arguments: &[u8]| {
        let mut cursor = Cursor::new(arguments);
        let (before, mut is_utf8) = (cursor, true);
        if tag {
            cursor.short().ok()?;
        }
        cursor.take(skipped).ok()?;
        let start = cursor.since(before).len();
        for _ in 0..count {
            is_utf8 &= std::str::from_utf8(cursor.short().ok()?).is_ok();
        }
        (!is_utf8).then(|| start..cursor.since(before).len())
    };
    let Some(names) = length(arguments) else { return };
    let mut rest = &mut arguments[names];
    while let Some((length, names)) = rest.split_first_mut() {
        let (name, others) = names.split_at_mut(usize::from(*length).min(names.len()));
        name.iter_mut().filter(|byte| !byte.is_ascii()).for_each(|byte| *byte = b'?');
        rest = others;
    }
}
