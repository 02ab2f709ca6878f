"""Folds the events of a call into its current state: in any order, each any number of times, one result.

Each part of the state keeps the value of the event with the highest rank, so nothing needs to be sorted or
awaited. The rules are in docs/consuming.md. A state is plain JSON: store it under the `correlationid`.
"""

from collections.abc import Iterator
from typing import Any, cast

from events import CallData, CallEvent, TranscriptEvent

# Part of the state → [rank, value]. Some parts are of a group, as in `tags/quote`.
State = dict[str, list[Any]]
# A part of the state, the first part of its rank, and its value.
Fact = tuple[str, str, object]

# The types that tell how the call stands. The others only complete what these say.
LIFE = ("scheduled", "initiated", "ringing", "early_media", "answered", "transferred", "ended", "updated")
STATUSES = ("scheduled", "initiated", "ringing", "in_progress", "ended")
# Fields that have rules of their own, or are true of the event alone.
APART = ("status", "status_raw", "tag", "recordings", "media", "digits", "snapshot", "derived", "unmapped")
# What a transcript says of itself. The rest of its data is about the call.
OF_TRANSCRIPT = ("transcript", "full_text", "participants", "transcript_seconds", "transcript_id", "error")


def of_transcript(event: TranscriptEvent) -> Iterator[Fact]:
    """Yields what an event about a transcript says."""
    data = event["data"]
    if event["type"] == "call.transcript.partial":
        yield f"lines/{event['id']}", "", data.get("transcript", [])
    else:
        transcript = {name: value for name, value in data.items() if name in OF_TRANSCRIPT}
        # Some have no text, such as those of a failure: they do not replace one that has.
        is_whole = event["type"] == "call.transcript.deleted" or "transcript" in data or "full_text" in data
        if transcript or is_whole:
            yield "transcript", f"{is_whole:d}", transcript
    for name, value in data.items():
        if name not in (*OF_TRANSCRIPT, *APART):
            yield name, "10", value


def removed_tag(data: CallData) -> str | None:
    """Returns the tag that `call.untagged` removes, under Allo's names: no other provider removes tags."""
    # It is not the call's tag, so no field holds it.
    unmapped = data.get("unmapped", {})
    sent = unmapped.get("data") or unmapped.get("body")
    if isinstance(sent, dict):
        for name in ("tag", "call_category", "callCategory"):
            if isinstance(sent.get(name), str):
                return str(sent[name])
    return None


def of_call(event: CallEvent) -> Iterator[Fact]:
    """Yields what another event says of its call."""
    data, kind = event["data"], event["type"].removeprefix("call.")
    if kind in LIFE and "status" in data:
        yield "status", str(STATUSES.index(data["status"])), data["status"]
    if kind == "deleted":
        yield "deleted", "", True
    if kind == "untagged" and (removed := removed_tag(data)) is not None:
        yield f"tags/{removed}", "", False
    if "tag" in data:
        yield f"tags/{data['tag']}", "", True
    for recording in data.get("recordings", []):
        yield f"recordings/{recording.get('url') or recording.get('id')}", "", recording
    for name, value in data.items():
        if name not in APART:
            yield name, f"{name not in data.get('derived', []):d}{kind in LIFE:d}", value


def fold(state: State, event: CallEvent | TranscriptEvent) -> None:
    """Takes an event into the state of its call."""
    # `sequence` sorts by the time at the provider, then by the stage of the type; `recordedtime` is the time
    # of receipt. Without its Z, a time with a shorter fraction sorts before one with a longer.
    moment = f"{event['sequence']} {event['recordedtime'].rstrip('Z')} {event['id']}"
    if event["type"].startswith("call.transcript."):
        facts = of_transcript(cast(TranscriptEvent, event))
    else:
        facts = of_call(cast(CallEvent, event))
    for part, first, value in facts:
        rank = f"{first} {moment}"
        if part not in state or state[part][0] < rank:
            state[part] = [rank, value]


def view(state: State) -> dict[str, Any]:
    """Returns the call as it is known by now."""
    call: dict[str, Any] = {}
    tags, recordings, lines = [], [], []
    for part, (rank, value) in sorted(state.items()):
        group, _, name = part.partition("/")
        if group == "lines":
            lines.append((rank, value))
        elif group == "tags":
            tags += [name] if value else []
        elif group == "recordings":
            recordings.append(value)
        else:
            call[part] = value
    if tags:
        call["tags"] = tags
    if recordings:
        call["recordings"] = recordings
    if lines and state.get("transcript", ["0"])[0][0] == "0":
        spoken = [line for _, said in sorted(lines) for line in said]
        call["transcript"] = {**call.get("transcript", {}), "transcript": spoken}
    return call
