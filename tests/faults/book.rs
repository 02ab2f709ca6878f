//! The book: every webhook sent, every 200, every event and dead letter. Compact in memory, complete on disk.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use hookswitch::core::{
    delivery::{fault::Reason, queued::QueuedWebhook},
    webhook::{DeliveryId, Webhook},
};
use jiff::Timestamp;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::traffic::{Class, Expected, Number, Traffic};

/// Complaints kept of each kind; all are counted.
const KEPT: usize = 50;

/// Returns the wall clock in milliseconds, which the program's logs use too.
pub fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// The state of one webhook.
#[derive(Clone, Copy)]
pub struct Entry {
    pub number: Number,
    /// Number of answers of 200.
    pub accepted: u8,
    /// Number of times that each of its events was seen.
    pub copies: [u8; 2],
    /// Number of its dead letters.
    pub dead: u8,
}

/// A violation, by kind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Wrong {
    Lost,
    Corrupt,
    Phantom,
    /// A good webhook became a dead letter, or poison did not, or did for another reason.
    Misrouted,
    KnowableDuplicate,
    /// A row failed its own expectation.
    Row,
}

impl Wrong {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Corrupt => "corrupt",
            Self::Phantom => "phantom",
            Self::Misrouted => "misrouted",
            Self::KnowableDuplicate => "knowable duplicates",
            Self::Row => "rows failed",
        }
    }
}

/// An interval in which a worker may have died between publishing and logging it, and the reason.
#[derive(Clone, Debug)]
pub struct Trouble {
    pub from: u64,
    pub to: u64,
}

pub struct Book {
    pub traffic: Traffic,
    entries: Mutex<Vec<Entry>>,
    seen: Mutex<BufWriter<File>>,
    wrong: Mutex<BTreeMap<Wrong, (usize, Vec<String>)>>,
    dead_by_reason: Mutex<BTreeMap<String, usize>>,
    /// Bodies of messages with unreadable properties, and the number of their dead letters.
    unreadable: Mutex<BTreeMap<Vec<u8>, usize>>,
    troubles: Mutex<Vec<Trouble>>,
    redis_lost: Mutex<Vec<u64>>,
    pub accepted: AtomicU64,
    pub answers: AtomicU64,
    pub events: AtomicU64,
    pub unrouted: AtomicU64,
    pub extra_copies: AtomicU64,
    pub redelivered: AtomicU64,
    /// Time of the last event.
    pub last_event: AtomicU64,
    /// Receive time of the newest webhook that has come out.
    pub last_received: AtomicU64,
}

/// The fields of an event that identify its origin.
#[derive(Deserialize)]
struct Head<'a> {
    id: &'a str,
    deliveryid: &'a str,
    recordedtime: Timestamp,
}

/// The last deliveries of a consumer's connection. The broker may redeliver these, since their acks may be
/// lost.
#[derive(Default)]
pub struct Recent(VecDeque<(Number, usize)>);

impl Recent {
    fn push(&mut self, number: Number, position: usize, max: usize) {
        self.0.push_back((number, position));
        if self.0.len() > max {
            self.0.pop_front();
        }
    }

    /// Deliveries that may come again on the next connection.
    pub fn maybe_again(&mut self) -> HashSet<(Number, usize)> {
        self.0.drain(..).collect()
    }
}

/// A message as delivered to a consumer.
pub struct Seen<'a> {
    pub body: &'a [u8],
    /// The attribute `deliveryid`.
    pub delivery_id: &'a str,
    pub redelivered: bool,
    pub unrouted: bool,
}

impl Book {
    pub fn new(traffic: Traffic, dir: &Path) -> Self {
        Self {
            traffic,
            entries: Mutex::default(),
            seen: Mutex::new(BufWriter::new(File::create(dir.join("seen.tsv")).unwrap())),
            wrong: Mutex::default(),
            dead_by_reason: Mutex::default(),
            unreadable: Mutex::default(),
            troubles: Mutex::default(),
            redis_lost: Mutex::default(),
            accepted: AtomicU64::new(0),
            answers: AtomicU64::new(0),
            events: AtomicU64::new(0),
            unrouted: AtomicU64::new(0),
            extra_copies: AtomicU64::new(0),
            redelivered: AtomicU64::new(0),
            last_event: AtomicU64::new(0),
            last_received: AtomicU64::new(0),
        }
    }

    /// Returns the next number to send.
    pub fn open(&self, class: Class) -> Number {
        let mut entries = self.entries.lock().unwrap();
        let number = Number::new(entries.len(), class);
        entries.push(Entry { number, accepted: 0, copies: [0; 2], dead: 0 });
        number
    }

    pub fn sent(&self) -> usize {
        self.entries.lock().unwrap().len()
    }

    pub fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap().clone()
    }

    /// Records a 200 that is on disk.
    pub fn accept(&self, number: Number) {
        let entry = &mut self.entries.lock().unwrap()[number.sequence()];
        if entry.accepted == 0 {
            self.accepted.fetch_add(1, Ordering::Relaxed);
        }
        self.answers.fetch_add(1, Ordering::Relaxed);
        entry.accepted = entry.accepted.saturating_add(1);
    }

    /// Returns true if this number was sent.
    fn knows(&self, number: Number) -> bool {
        let entries = self.entries.lock().unwrap();
        entries.get(number.sequence()).is_some_and(|entry| entry.number == number)
    }

    /// Records an event. `again` are the deliveries that this consumer may receive again because an ack was
    /// lost.
    pub fn event(
        &self,
        seen: &Seen<'_>,
        again: &mut HashSet<(Number, usize)>,
        recent: &mut Recent,
        prefetch: usize,
    ) {
        let text = || String::from_utf8_lossy(&seen.body[..seen.body.len().min(300)]).into_owned();
        let Ok(head) = serde_json::from_slice::<Head<'_>>(seen.body) else {
            return self.complain(Wrong::Corrupt, format!("unreadable event: {}", text()));
        };
        let Some(number) = Number::find(seen.body).filter(|number| self.knows(*number)) else {
            return self
                .complain(Wrong::Phantom, format!("event of a webhook that was never sent: {}", text()));
        };
        let mut webhook = self.traffic.webhook(number);
        let Ok(delivery_id) = head.deliveryid.parse::<DeliveryId>() else {
            return self.complain(Wrong::Corrupt, format!("{number}: no delivery id: {}", text()));
        };
        if head.deliveryid != seen.delivery_id {
            let (body, header) = (head.deliveryid, seen.delivery_id);
            self.complain(
                Wrong::Corrupt,
                format!("{number}: the delivery id is {body} in the body and {header} in the header"),
            );
        }
        (webhook.delivery_id, webhook.received_at) = (delivery_id, head.recordedtime);
        let Expected::Events(events) = self.traffic.expected(&webhook) else {
            return self
                .complain(Wrong::Misrouted, format!("{number}: a poison webhook has an event: {}", text()));
        };
        let Some(position) = events.iter().position(|event| event.id.to_string() == head.id) else {
            return self.complain(Wrong::Phantom, format!("{number}: event with an unknown id: {}", text()));
        };
        // A copy that was published again after a crash may be late although the first was not.
        let event = &events[position];
        let body = if event.late_body() == seen.body { &event.body[..] } else { seen.body };
        if event.body != body {
            self.complain(
                Wrong::Corrupt,
                format!("{number}: the event differs from the webhook sent: {}", text()),
            );
        }
        let at = now();
        let maybe_again = again.remove(&(number, position));
        let counts = {
            let copies = &mut self.entries.lock().unwrap()[number.sequence()].copies[position];
            let counts = *copies == 0 || !(maybe_again || seen.redelivered);
            if counts {
                *copies = copies.saturating_add(1);
            }
            if counts && *copies > 1 {
                self.extra_copies.fetch_add(1, Ordering::Relaxed);
            }
            counts
        };
        recent.push(number, position, prefetch);
        if !counts {
            self.redelivered.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let hash = hex::encode(&Sha256::digest(body)[..8]);
        writeln!(self.seen.lock().unwrap(), "{at}\t{}\t{position}\t{delivery_id}\t{hash}", number.sequence())
            .unwrap();
        self.events.fetch_add(1, Ordering::Relaxed);
        if seen.unrouted {
            self.unrouted.fetch_add(1, Ordering::Relaxed);
        }
        self.last_event.fetch_max(at, Ordering::Relaxed);
        // The timestamp of a receiver with a wrong clock is meaningless.
        let received = u64::try_from(head.recordedtime.as_millisecond()).unwrap_or(0);
        if received <= at {
            self.last_received.fetch_max(received, Ordering::Relaxed);
        }
    }

    /// Records a dead letter.
    pub fn dead(&self, letter: &QueuedWebhook) {
        let reason = letter.history.reason;
        let word = reason.map_or("none", Reason::as_str).to_owned();
        *self.dead_by_reason.lock().unwrap().entry(word).or_default() += 1;
        let body = &letter.webhook.body;
        if reason == Some(Reason::UnreadableHeaders) {
            match self.unreadable.lock().unwrap().get_mut(&body[..]) {
                Some(dead) => *dead += 1,
                None => self.complain(Wrong::Misrouted, "unreadable dead letter that was not sent so".into()),
            }
            return;
        }
        let Some(number) = Number::find(body).filter(|number| self.knows(*number)) else {
            return self.complain(
                Wrong::Phantom,
                format!("dead letter of a webhook that was never sent: {reason:?}"),
            );
        };
        let sent = self.traffic.webhook(number);
        // The broker sorts the table of headers.
        let sorted = |webhook: &Webhook| {
            let mut headers: Vec<_> =
                webhook.headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            headers.sort();
            headers
        };
        let same = sent.body == *body && sent.source == letter.webhook.source;
        if !same || sorted(&sent) != sorted(&letter.webhook) {
            self.complain(Wrong::Corrupt, format!("{number}: the dead letter differs from the webhook sent"));
        }
        match self.traffic.expected(&sent) {
            Expected::Dead(expected) if Some(expected) == reason => {}
            Expected::Dead(expected) => {
                self.complain(
                    Wrong::Misrouted,
                    format!("{number}: dead letter with reason {reason:?} instead of {expected}"),
                );
            }
            Expected::Events(_) => {
                let error = letter.history.error.as_deref().unwrap_or_default();
                self.complain(
                    Wrong::Misrouted,
                    format!("{number}: good webhook is a dead letter with reason {reason:?}: {error}"),
                );
            }
        }
        let dead = &mut self.entries.lock().unwrap()[number.sequence()].dead;
        *dead = dead.saturating_add(1);
    }

    /// Returns the body of a message to put into a raw queue with unreadable properties.
    pub fn open_unreadable(&self) -> Vec<u8> {
        let mut unreadable = self.unreadable.lock().unwrap();
        let body = format!("unreadable message {}", unreadable.len()).into_bytes();
        unreadable.insert(body.clone(), 0);
        body
    }

    /// Complains of the messages with unreadable properties that are not dead letters.
    pub fn account_for_unreadable(&self) {
        let unreadable = self.unreadable.lock().unwrap();
        for (body, _) in unreadable.iter().filter(|(_, dead)| **dead == 0) {
            self.complain(Wrong::Lost, String::from_utf8_lossy(body).into_owned());
        }
    }

    pub fn dead_by_reason(&self) -> BTreeMap<String, usize> {
        self.dead_by_reason.lock().unwrap().clone()
    }

    /// Records a violation.
    pub fn complain(&self, wrong: Wrong, what: String) {
        let mut all = self.wrong.lock().unwrap();
        let (count, kept) = all.entry(wrong).or_default();
        *count += 1;
        if kept.len() < KEPT {
            eprintln!("WRONG ({}): {what}", wrong.as_str());
            kept.push(what);
        }
    }

    pub fn wrong(&self) -> BTreeMap<Wrong, (usize, Vec<String>)> {
        self.wrong.lock().unwrap().clone()
    }

    /// Records an interval of an injected fault.
    pub fn trouble(&self, from: u64, to: u64) {
        self.troubles.lock().unwrap().push(Trouble { from, to });
    }

    pub fn troubles(&self) -> Vec<Trouble> {
        self.troubles.lock().unwrap().clone()
    }

    /// Records an interval in which Redis lost data.
    pub fn redis_forgot(&self) {
        self.redis_lost.lock().unwrap().push(now());
    }

    pub fn redis_losses(&self) -> Vec<u64> {
        self.redis_lost.lock().unwrap().clone()
    }

    /// Flushes the record of deliveries, so that it can be read back.
    pub fn flush(&self) {
        self.seen.lock().unwrap().flush().unwrap();
    }
}
