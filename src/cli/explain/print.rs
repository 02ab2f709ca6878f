//! What is recorded of a webhook, for people and for machines.

use indicatif::HumanDuration;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    findings::{Findings, FoundLetter, FoundMark},
    subject::Subject,
};
use crate::{
    cli::{
        fields::Show,
        moment::moment,
        output::{Out, counted},
    },
    core::{delivery::fault::Reason, printable::printable},
    edge::redis::Mark,
};

/// Returns the lines for people.
pub(super) fn lines(findings: &Findings, subject: &Subject, has_stream: bool, show: Show) -> Vec<String> {
    let mut lines = Vec::new();
    match (subject, findings.received_at) {
        (Subject::Delivery(_), Some(at)) => {
            lines.push(format!(
                "received      {} UTC, as its id says (a letter id: when it died)",
                moment(at)
            ));
        }
        (Subject::Event(_), _) if !has_stream => {
            lines.push("event id      leads to no webhook by itself: give --stream".to_owned());
        }
        _ => {}
    }
    for found in &findings.letters {
        lines.extend(letter_lines(findings, found, show));
    }
    for found in &findings.marks {
        lines.push(format!("key           of {}: {}", found.source, mark_in_words(found)));
    }
    if findings.marks.is_empty() && findings.letters.is_empty() {
        lines.push("key           not known: it follows from a dead letter, an event or --source".to_owned());
    }
    for event in &findings.events {
        let (id, kind, time) = (printable(&event.id), printable(&event.kind), printable(&event.time));
        lines.push(format!("event         {kind} {id} of {time}, delivery {}", event.delivery));
    }
    if has_stream && findings.events.is_empty() {
        lines.push("event         none in the stream".to_owned());
    }
    lines.push(format!("now           {}", findings.now()));
    lines
}

/// Prints the fields of the events of every letter.
pub(super) fn fields(findings: &Findings, show: Show, out: &mut Out) -> anyhow::Result<()> {
    if findings.letters.is_empty() {
        out.line(
            "fields        not known: the body is kept of dead letters only; `hookswitch normalize --fields` \
             reads one",
        )?;
    }
    for FoundLetter { traced, fields } in &findings.letters {
        match fields {
            Ok(fields) => {
                out.line(&format!("fields        of the events of letter {}", traced.letter.id))?;
                fields.print(show, out)?;
            }
            Err(error) => {
                let (id, error) = (traced.letter.id, printable(error));
                out.line(&format!("fields        none of letter {id} by this build: {error}"))?;
            }
        }
    }
    Ok(())
}

fn letter_lines(
    findings: &Findings,
    FoundLetter { traced, fields }: &FoundLetter,
    show: Show,
) -> Vec<String> {
    let (webhook, history) = (&traced.letter.queued.webhook, &traced.letter.queued.history);
    let reason = |reason: Option<Reason>| reason.map_or("unknown", |r| r.as_str());
    let at = |at: Option<Timestamp>| at.map_or_else(|| "?".to_owned(), moment);
    let mut lines = vec![format!(
        "accepted      {} UTC by source {} ({}), {}",
        moment(webhook.received_at),
        webhook.source,
        webhook.provider,
        counted(webhook.body.len() as u64, "byte", "bytes")
    )];
    for death in &history.past {
        let error = printable(&death.error);
        lines.push(format!("died          {} UTC of {}: {error}", at(death.at), reason(death.reason)));
    }
    let error =
        printable(history.error.as_deref().unwrap_or("(none: dead-lettered by the broker)")).into_owned();
    lines.push(format!(
        "died          {} UTC of {} after {}: {error}",
        at(history.last_failed_at),
        reason(history.reason),
        counted(history.attempt.0.into(), "attempt", "attempts"),
    ));
    for (fate, job) in &traced.left_by {
        let note = job.note.as_deref().map(|note| format!(", \"{note}\"")).unwrap_or_default();
        let who = printable(&format!("{}{note}", job.actor)).into_owned();
        lines.push(format!("{:<13} by the job of {} UTC, {who}", fate.as_str(), moment(job.begun_at)));
    }
    let place = if traced.is_waiting {
        format!("in dead.{} as letter {}", webhook.source, traced.letter.id)
    } else {
        format!("letter {} has left its queue", traced.letter.id)
    };
    lines.push(format!("letter        {place}"));
    if let Err(fault) = &traced.key {
        lines.push(format!("key           none by this build: {}", printable(&fault.to_string())));
    } else if let Ok(fields) = fields {
        lines.push(format!("key           made of {}", printable(&fields.key_in_words(show))));
    }
    match findings.is_done_body(traced) {
        Some(true) => lines.push("body          the one that was done under its key".to_owned()),
        Some(false) => {
            lines.push("body          another than the one that was done under its key".to_owned())
        }
        None => {}
    }
    lines
}

fn mark_in_words(found: &FoundMark) -> String {
    let left = found.left.map(|left| format!(" (for {} more)", HumanDuration(left))).unwrap_or_default();
    match found.mark {
        Mark::Nothing => "no mark in Redis".to_owned(),
        Mark::Claimed => format!("claimed by a worker{left}"),
        Mark::Done(_) => format!("marked done{left}"),
        Mark::Unreadable => "a value that hookswitch did not write".to_owned(),
    }
}

/// Returns the object for machines.
pub(super) fn as_json(findings: &Findings, show: Show, has_fields: bool) -> Value {
    let mark = |found: &FoundMark| {
        let word = match found.mark {
            Mark::Nothing => "none",
            Mark::Claimed => "claimed",
            Mark::Done(_) => "done",
            Mark::Unreadable => "unreadable",
        };
        let left = found.left.map(|left| left.as_secs());
        json!({ "source": found.source, "mark": word, "expires_in_seconds": left })
    };
    let letter = |FoundLetter { traced, fields }: &FoundLetter| {
        let (webhook, history) = (&traced.letter.queued.webhook, &traced.letter.queued.history);
        let left = traced.left_by.iter().map(|(fate, job)| {
            json!({ "fate": fate, "job": job.id, "kind": job.kind, "actor": job.actor, "note": job.note,
                "begun_at": job.begun_at })
        });
        let of_fields = fields.as_ref().ok().filter(|_| has_fields);
        json!({
            "letter": traced.letter.id.to_string(),
            "delivery_id": webhook.delivery_id,
            "source": webhook.source,
            "provider": webhook.provider,
            "received_at": webhook.received_at,
            "reason": history.reason,
            "error": history.error,
            "attempts": history.attempt.0,
            "first_failed_at": history.first_failed_at,
            "last_failed_at": history.last_failed_at,
            "replays": history.replays,
            "past": history.past,
            "waiting": traced.is_waiting,
            "left": left.collect::<Vec<_>>(),
            "key_error": traced.key.as_ref().err().map(ToString::to_string),
            "done_by_this_body": findings.is_done_body(traced),
            "key": fields.as_ref().ok().map(|fields| fields.key_as_json(show)),
            "fields": of_fields.map(|fields| fields.fields_as_json(show)),
        })
    };
    let events = findings.events.iter().map(|event| {
        json!({ "id": event.id, "type": event.kind, "time": event.time, "source": event.source,
            "delivery_id": event.delivery })
    });
    json!({
        "received_at": findings.received_at,
        "letters": findings.letters.iter().map(letter).collect::<Vec<_>>(),
        "keys": findings.marks.iter().map(mark).collect::<Vec<_>>(),
        "events": events.collect::<Vec<_>>(),
        "now": findings.now(),
    })
}
