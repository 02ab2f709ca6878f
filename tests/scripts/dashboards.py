"""Checks dashboards against Grafana's own model of them: dashboards.py FILE …

Reads each file into the classes of Grafana's Foundation SDK and writes it again. What the model does not know gets lost on the
way, and is reported.
"""

import json
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import prometheus, stat, timeseries  # noqa: F401  The types of panels and queries.
from grafana_foundation_sdk.models.dashboard import Dashboard


def lost(written, read, path=""):
    """Yields the places of what was written and not read."""
    if isinstance(written, dict) and isinstance(read, dict):
        for key, value in written.items():
            if key in read:
                yield from lost(value, read[key], f"{path}.{key}")
            elif value is not None:
                yield f"{path}.{key}"
    elif isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        for index, values in enumerate(zip(written, read)):
            yield from lost(*values, f"{path}[{index}]")
    elif written != read:
        yield f"{path}: {written!r} was read as {read!r}"


findings = []
for file in sys.argv[1:]:
    with open(file, encoding="utf-8") as text:
        dashboard = json.load(text)
    read = json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))
    findings += [f"{file}{place}" for place in lost(dashboard, read)]
if findings:
    sys.exit("not in Grafana's model of a dashboard:\n" + "\n".join(findings))
