"""Each provider's call, in many orders: one result."""

import json
import random
import unittest
from pathlib import Path
from typing import Any

from fold import State, fold, view

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests/golden"


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def events_of(*cases: str) -> list[Any]:
    return [event for case in cases for event in read(GOLDEN / case / "expected.json")["events"]]


class Fold(unittest.TestCase):
    def test_each_providers_call_in_any_order(self) -> None:
        calls = sorted((ROOT / "examples/calls").glob("*.json"))
        self.assertEqual(len(calls), 5)
        for path in calls:
            call = read(path)
            events = events_of(*call["golden"])
            self.assertEqual(len({event["correlationid"] for event in events}), 1, path)
            for seed in range(300):
                order = random.Random(seed)
                some = events + order.choices(events, k=3)
                order.shuffle(some)
                state: State = {}
                for event in some:
                    fold(state, event)
                self.assertEqual(view(json.loads(json.dumps(state))), call["call"], f"{path}, {seed}")

    def test_lines_are_the_transcript_until_the_whole_one_comes(self) -> None:
        state: State = {}
        for event in events_of("salpre/transcript"):
            fold(state, event)
        (line,) = view(state)["transcript"]["transcript"]
        self.assertEqual(line["speaker"], "customer")
        for event in events_of("salpre/call-ended"):
            fold(state, event)
        self.assertEqual(len(view(state)["transcript"]["transcript"]), 3)

    def test_a_tag_that_is_removed_is_gone_whichever_came_first(self) -> None:
        (added,) = events_of("allo/v2-tag-added")
        (removed,) = events_of("allo/v2-tag-removed-is-not-the-calls-tag")
        for later in (added, removed):
            events: list[Any] = [{**event, "sequence": str(event is later)} for event in (added, removed)]
            for order in (events, events[::-1]):
                state: State = {}
                for event in order:
                    fold(state, event)
                self.assertEqual(view(state).get("tags"), ["quote"] if later is added else None)

    def test_an_event_that_removes_a_tag_need_not_say_which(self) -> None:
        (added,) = events_of("allo/v2-tag-added")
        (removed,) = events_of("allo/v2-tag-removed-is-not-the-calls-tag")
        sent: list[Any] = [None, {}, {"data": "quote"}, {"data": {"tag": 7}}, {"data": ["quote"]}]
        named: list[Any] = [{"data": {"call_category": "quote"}}, {"body": {"callCategory": "quote"}}]
        for unmapped in sent + named:
            data = {} if unmapped is None else {"unmapped": unmapped}
            later: Any = {**removed, "sequence": added["sequence"] + "-later", "data": data}
            state: State = {}
            fold(state, added)
            fold(state, later)
            self.assertEqual(view(state).get("tags"), None if unmapped in named else ["quote"], unmapped)

    def test_a_transcript_event_without_text_takes_no_text_away(self) -> None:
        partial = events_of("salpre/transcript")
        ended = events_of("salpre/call-ended")
        whole = [event for event in ended if event["type"].startswith("call.transcript.")]
        failed = {**whole[0], "type": "call.transcript.failed", "sequence": "9", "data": {"error": "noise"}}
        deleted = {**failed, "type": "call.transcript.deleted", "data": {}}
        for events, lines, error in (
            ([*partial, failed], 1, "noise"),
            ([*partial, *whole, failed], 3, None),
            ([*partial, *whole, deleted], None, None),
        ):
            for order in (events, events[::-1]):
                state: State = {}
                for event in order:
                    fold(state, event)
                transcript = view(state)["transcript"]
                spoken = transcript.get("transcript")
                self.assertEqual(None if spoken is None else len(spoken), lines)
                self.assertEqual(transcript.get("error"), error)


if __name__ == "__main__":
    unittest.main()
