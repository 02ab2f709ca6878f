"""Joins the schemas of all event types into one, of which types for consumers are generated: types.py SCHEMAS

The events of one family differ only in their `type`, so they are one definition, and what all events have in
common is another. Otherwise the generators would repeat every attribute for every type.
"""

import json
import sys
from pathlib import Path
from typing import Any

Schema = dict[str, Any]


def read(path: Path) -> Schema:
    schema: Schema = json.loads(path.read_text())
    return schema


def latest(folder: Path) -> Path:
    """Returns the schema of the highest version in a folder."""
    return max(folder.glob("*.json"), key=lambda path: int(path.stem))


def open_objects(schema: Any) -> None:
    """States for objects without named fields that they have others."""
    if isinstance(schema, dict):
        if schema.get("type") == "object" and "properties" not in schema:
            schema["additionalProperties"] = True
        for part in schema.values():
            open_objects(part)


def join(schemas: Path) -> Schema:
    """Returns one schema whose definitions are all events, the attributes and all data."""
    definitions: Schema = {}

    def define(parts: Schema, path: Path) -> None:
        for name, part in parts.items():
            if definitions.setdefault(name, part) != part:
                sys.exit(f"types.py: {name} is not the same in {path} as in another schema")

    families: dict[Path, list[str]] = {}
    attributes: Schema = {}
    for folder in sorted((schemas / "events").iterdir()):
        path = latest(folder)
        attributes = read(path)
        define(attributes.get("$defs", {}), path)
        data = (path.parent / attributes["properties"].pop("data")["$ref"]).resolve()
        families.setdefault(data, []).append(attributes["properties"].pop("type")["const"])
    required = [name for name in attributes["required"] if name not in ("data", "type")]
    definitions["Attributes"] = {
        "description": "What all events have in common.",
        "type": "object",
        "properties": attributes["properties"],
        "required": required,
    }
    events = []
    for path, types in families.items():
        data = read(path)
        name = data.pop("title")
        define(data.pop("$defs", {}), path)
        define({name: {key: value for key, value in data.items() if not key.startswith("$")}}, path)
        event = name.removesuffix("Data") + "Event"
        own = {"type": {"enum": types}, "data": {"$ref": f"#/$defs/{name}"}}
        own_part = {"type": "object", "properties": own, "required": ["type", "data"]}
        definitions[event] = {
            "description": f"Events with {name}.",
            "allOf": [{"$ref": "#/$defs/Attributes"}, own_part],
        }
        events.append({"$ref": f"#/$defs/{event}"})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "HookswitchEvent",
        "description": "Any event. Its `type` tells which data it has.",
        "anyOf": events,
        "$defs": definitions,
    }


joined = join(Path(sys.argv[1]))
open_objects(joined)
print(json.dumps(joined, indent=2))
