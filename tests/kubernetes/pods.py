"""What `make pods` takes out of the manifests.

    pods.py MANIFESTS FOLDER    writes rabbitmq.yaml, redis.yaml and hookswitch.yaml, and probes.json: what a
                                kubelet would ask each container
"""

import json
import pathlib
import sys

import yaml

SERVICES = ["rabbitmq", "redis"]
# podman has no others.
PLAYED = ["ConfigMap", "Deployment", "Job", "Secret"]


def split(manifests, folder):
    with open(manifests, encoding="utf-8") as file:
        documents = [document for document in yaml.safe_load_all(file) if document["kind"] in PLAYED]
    parts = {"hookswitch": [], **{service: [] for service in SERVICES}}
    for document in documents:
        # kustomize ends the names of secrets with a hash.
        name = document["metadata"]["name"].partition("-")[0]
        parts[name].append(document)
    for name, part in parts.items():
        # Secrets and maps come first: podman reads from above.
        part.sort(key=lambda document: PLAYED.index(document["kind"]) % 3)
        with open(folder / f"{name}.yaml", "w", encoding="utf-8") as file:
            yaml.safe_dump_all(part, file)
    with open(folder / "probes.json", "w", encoding="utf-8") as file:
        json.dump(dict(probes(documents)), file)


def probes(documents):
    """The path and port of each HTTP probe, by pod and kind of probe."""
    for document in documents:
        if document["kind"] != "Deployment":
            continue
        for container in document["spec"]["template"]["spec"]["containers"]:
            ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
            for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
                if "httpGet" in container.get(kind, {}):
                    get = container[kind]["httpGet"]
                    yield f"{container['name']} {kind}", f"{ports[get['port']]}{get['path']}"


split(sys.argv[1], pathlib.Path(sys.argv[2]))
