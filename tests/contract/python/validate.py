"""Validates events under the published schemas with jsonschema, and their envelopes with the CloudEvents SDK.

python validate.py SCHEMAS EVENTS HOOKSWITCH [EVERY]

One event of each family is also validated under nothing but what `hookswitch schema TYPE` prints. Of many events, only one in EVERY is validated with jsonschema, which takes a millisecond for each.
"""

import json
import multiprocessing
import pathlib
import subprocess
import sys

from cloudevents.core.formats.json import JSONFormat
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

CHUNK = 500


def read_validators(folder):
    """Returns the validators of whole events by type, and those of data by the schema's id."""
    paths = [path for part in ("data", "events") for path in pathlib.Path(folder, part).rglob("*.json")]
    schemas = [json.loads(path.read_text()) for path in paths]
    for schema in schemas:
        Draft202012Validator.check_schema(schema)
    registry = Registry().with_resources((schema["$id"], Resource.from_contents(schema)) for schema in schemas)
    formats = Draft202012Validator.FORMAT_CHECKER
    return {
        name: Draft202012Validator(schema, registry=registry, format_checker=formats)
        for schema in schemas
        for name in (schema["title"], schema["$id"])
    }


def check(line, position):
    """Returns what is wrong with an event; none if it is valid."""
    event = JSONFormat().read(None, line)
    if position % every == 0:
        whole = json.loads(line)
        error = next(validators[event.get_type()].iter_errors(whole), None)
        if error is not None:
            return f"{error.json_path}: {error.message}"
        if not str(validators[event.get_dataschema()].schema["$id"]).startswith("https://"):
            return "dataschema names no schema"
    return None


def check_chunk(chunk):
    """Returns the problems of a chunk of events."""
    start, lines = chunk
    problems = []
    for position, line in enumerate(lines, start):
        try:
            problem = check(line, position)
        except Exception as error:
            problem = repr(error)
        if problem:
            problems.append(f"{problem}\n{line}")
    return problems


def check_alone(event):
    """Returns what is wrong with an event under the one document of its type; none if it is valid."""
    bundle = json.loads(subprocess.check_output([hookswitch, "schema", event["type"]]))
    # An empty registry fetches nothing.
    formats = Draft202012Validator.FORMAT_CHECKER
    validator = Draft202012Validator(bundle, registry=Registry(), format_checker=formats)
    error = next(validator.iter_errors(event), None)
    if error is not None:
        return f"one document: {error.json_path}: {error.message}\n{event}"
    return "one document: data may be anything" if validator.is_valid({**event, "data": 7}) else None


folder, events, hookswitch = sys.argv[1:4]
every = int(sys.argv[4]) if len(sys.argv) > 4 else 1
validators = read_validators(folder)

if __name__ == "__main__":
    lines = pathlib.Path(events).read_text().splitlines()
    chunks = [(start, lines[start : start + CHUNK]) for start in range(0, len(lines), CHUNK)]
    with multiprocessing.get_context("fork").Pool() as pool:
        problems = [problem for found in pool.imap_unordered(check_chunk, chunks) for problem in found]
    families = {event["dataschema"]: event for event in map(json.loads, lines)}
    problems += filter(None, map(check_alone, families.values()))
    if problems or not lines:
        sys.exit("\n".join(problems[:10]) or "no events")
    print(
        f"{len(lines)} events are valid under the CloudEvents SDK of Python, {-(-len(lines) // every)} under"
        f" jsonschema, {len(families)} under one document"
    )
