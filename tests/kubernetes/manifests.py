"""Renders the Helm chart into what deploy/kubernetes is made of, and checks the manifests.

    manifests.py render         writes the files of GENERATED
    manifests.py check FOLDER   fails if they differ from the chart, or if a manifest breaks a rule below.
                                FOLDER is a copy of deploy/kubernetes with secrets for the overlay dev
"""

import json
import pathlib
import re
import subprocess
import sys

import helm_python
import jsonschema
import kubernetes_validate
import yaml

ROOT = pathlib.Path(__file__).parents[2]
CHART = ROOT / "deploy/helm/hookswitch"
KUBERNETES = ROOT / "deploy/kubernetes"
GENERATED = {
    "base": ["apply", "network-policy", "receiver", "worker"],
    "overlays/production": ["autoscaling", "monitoring", "rabbitmq"],
}
HEAD = "# Generated from deploy/helm/hookswitch by `make manifests`.\n"


def chart(values):
    """The manifests that the chart renders, by template."""
    with helm_python.Chart.load(CHART) as loaded:
        files = loaded.render(values, name="hookswitch", namespace="hookswitch")
    return {pathlib.PurePath(path).stem: text for path, text in files.items() if path.endswith(".yaml")}


def generated():
    """What deploy/kubernetes must hold."""
    values = read(KUBERNETES / "values.yaml")[0]
    # The base has no autoscalers, so it counts replicas itself.
    fixed = {**values, "receiver": {}, "worker": {}}
    rendered = {"base": chart(fixed), "overlays/production": chart(values)}
    files = {
        KUBERNETES / folder / f"{name}.yaml": HEAD + tidy(rendered[folder][name])
        for folder, names in GENERATED.items()
        for name in names
    }
    files[KUBERNETES / "base/hookswitch.toml"] = default_values()["config"]["toml"]
    return files


def default_values():
    with helm_python.Chart.load(CHART) as loaded:
        return loaded.values


def tidy(text):
    """Without the blank lines and the first separator that templates leave."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    if lines[0] == "---":
        lines = lines[1:]
    return "\n".join(lines) + "\n"


def read(path):
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def parsed(text):
    return [document for document in yaml.safe_load_all(text) if document]


def kustomized(folder):
    done = subprocess.run(
        ["kubectl", "kustomize", str(folder)], check=True, capture_output=True, text=True, timeout=60
    )
    return parsed(done.stdout)


def render():
    for path, text in generated().items():
        path.write_text(text)


def check_generated():
    for path, text in generated().items():
        if path.read_text() != text:
            yield f"{path.relative_to(ROOT)} differs from what the chart makes: run `make manifests`"


def check_lint():
    report = helm_python.lint(CHART, strict=True)
    for message in report["messages"]:
        # That a chart without an icon is worth mentioning, we do not share.
        if message["severity"] > 1:
            yield f"helm lint: {message['path']}: {message['error']}"
    yield from (f"helm lint: {error}" for error in report["errors"])


def check_values():
    """The schema takes the chart's values and knows each of them, and refuses others."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    yield from unknown(schema, default_values(), "values")
    for wrong in [{"recevier": {}}, {"worker": {"replicas": 0}}, {"rabbitmq": {"replicas": 2}}]:
        try:
            chart(wrong)
        except helm_python.HelmError:
            continue
        yield f"values.schema.json accepts {wrong}"


def check_job():
    """A job's template cannot be changed, so whatever changes it changes its name."""
    changes = [{}, {"image": {"tag": "another"}}, {"config": {"toml": "# another"}}, {"graceSeconds": 31}]
    names = {job["metadata"]["name"] for change in changes for job in parsed(chart(change)["apply"])}
    if len(names) != len(changes):
        yield f"the chart's job keeps its name after a change: {names}"


def unknown(schema, value, path):
    """Yields the values that the schema does not name."""
    if not isinstance(value, dict) or "properties" not in schema:
        return
    for key, inner in value.items():
        if key not in schema["properties"]:
            yield f"values.schema.json lacks {path}.{key}"
        else:
            yield from unknown(schema["properties"][key], inner, f"{path}.{key}")


def closed(schema):
    """The schema with all that it does not name forbidden, as the API server drops it."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: closed(part) for key, part in schema.items()}
    if schema.get("x-kubernetes-int-or-string"):
        result["type"] = ["integer", "string"]
    keeps = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if isinstance(schema.get("properties"), dict) and not keeps:
        result["additionalProperties"] = False
    return result


def schemas():
    for path in (ROOT / "tests/kubernetes").glob("*.json"):
        definition = json.loads(path.read_text())
        yield (definition["apiVersion"], definition["kind"]), closed(definition["schema"])


def check_schemas(where, documents, known):
    """Each object has the fields of its definition, and no others."""
    for document in documents:
        for error in schema_findings(document, known):
            yield f"{where}: {name(document)}: {error}"


def schema_findings(document, known):
    schema = known.get((document["apiVersion"], document["kind"]))
    if schema:
        schema["properties"]["metadata"] = {"type": "object"}
        errors = jsonschema.Draft202012Validator(schema).iter_errors(document)
        return [f"{error.json_path}: {error.message}" for error in errors]
    try:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
    except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
        return [str(error)]
    return []


def name(document):
    return f"{document['kind']} {document['metadata']['name']}"


def pods(documents):
    specs = [(document, document.get("spec", {})) for document in documents]
    return [(document, spec["template"]["spec"]) for document, spec in specs if "template" in spec]


def check_pods(where, documents):
    """The pod security standard "restricted", limits, and a grace time that is longer than the drain."""
    for document, pod in pods(documents):
        for finding in pod_findings(pod):
            yield f"{where}: {name(document)}: {finding}"


def pod_findings(pod):
    security = pod.get("securityContext", {})
    if not security.get("runAsNonRoot") or not security.get("runAsUser"):
        yield "runs as root"
    if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "has no seccomp profile"
    if pod.get("automountServiceAccountToken") is not False:
        yield "holds a token for the API server"
    allowed = {"configMap", "emptyDir", "secret", "persistentVolumeClaim"}
    for volume in pod.get("volumes", []):
        if not volume.keys() & allowed:
            yield f"the volume {volume['name']} is of a kind that is restricted"
    for container in pod["containers"]:
        yield from container_findings(container, pod.get("terminationGracePeriodSeconds", 30))


def container_findings(container, grace):
    security = container.get("securityContext", {})
    dropped = security.get("capabilities") == {"drop": ["ALL"]}
    if security.get("allowPrivilegeEscalation") is not False or not dropped:
        yield "may gain privileges"
    if "memory" not in container.get("resources", {}).get("limits", {}):
        yield "has no limit of memory"
    env = {variable["name"]: variable.get("value", "") for variable in container.get("env", [])}
    drain = int(env.get("HOOKSWITCH_WORKER_GRACE", "0s").removesuffix("s"))
    pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    if grace <= pause + drain:
        yield f"is killed after {grace} s, before its drain of {drain} s and its pause of {pause} s are over"


def check_permissions(where, documents):
    """Users have exactly the rights of docs/permissions.md."""
    text = (ROOT / "docs/permissions.md").read_text()
    documented = {
        user: patterns
        for user, *patterns in re.findall(
            r"^rabbitmqctl set_permissions -p / hookswitch-(\w+) '(.*)' '(.*)' '(.*)'$", text, re.MULTILINE
        )
    }
    given = {
        document["metadata"]["name"].removeprefix("hookswitch-"): [
            document["spec"]["permissions"][right] for right in ("configure", "write", "read")
        ]
        for document in documents
        if document["kind"] == "Permission"
    }
    if documented != given or not given:
        yield f"{where}: the permissions differ from docs/permissions.md: {given} instead of {documented}"


def check_alerts(where, documents):
    """The rules for the Prometheus operator are those of deploy/prometheus/alerts.yaml."""
    shipped = read(ROOT / "deploy/prometheus/alerts.yaml")[0]["groups"]
    found = [document["spec"]["groups"] for document in documents if document["kind"] == "PrometheusRule"]
    if found != [shipped]:
        yield f"{where}: its alert rules are not those of deploy/prometheus/alerts.yaml"


def check_broker(where, documents):
    """RabbitmqCluster is no older than the floor, and has members enough to lose one."""
    floor = re.search(r"FLOOR: \[u32; 3\] = \[(.*)\]", (ROOT / "src/core/rabbitmq.rs").read_text())[1]
    floor = [int(number) for number in floor.split(", ")]
    clusters = [document["spec"] for document in documents if document["kind"] == "RabbitmqCluster"]
    versions = [re.search(r":(\d+)\.(\d+)\.(\d+)", cluster["image"]).groups() for cluster in clusters]
    if not clusters or any([int(number) for number in version] < floor for version in versions):
        yield f"{where}: RabbitMQ {versions} is below the floor {floor}"
    if any(cluster["replicas"] < 3 for cluster in clusters):
        yield f"{where}: RabbitMQ has fewer than three nodes"


def documents_of(values):
    """The documents that the chart renders."""
    return [document for text in chart(values).values() for document in parsed(text)]


# As docs/tls.md has it for a chart with HTTPS and a token on the admin listener.
GUARDED = {
    "adminScheme": "HTTPS",
    "monitoring": {
        "enabled": True,
        "endpoint": {
            "authorization": {"credentials": {"name": "hookswitch", "key": "admin_token"}},
            "tlsConfig": {"ca": {"configMap": {"name": "ca", "key": "ca.pem"}}},
        },
    },
}


def check_guarded(documents):
    """Probes and Prometheus ask over HTTPS."""
    asked = re.findall(r'"(?:httpGet": {|port": "admin", "interval)[^}]*', json.dumps(documents))
    others = [question for question in asked if not re.search(r'"scheme": "https"', question, re.IGNORECASE)]
    if len(asked) != 7 or others:
        yield f"with adminScheme HTTPS, of {len(asked)} questions these are not asked over it: {others}"


def check(copy):
    known = dict(schemas())
    production = kustomized(copy / "overlays/production")
    everything = {
        "base": kustomized(copy / "base"),
        "overlays/dev": kustomized(copy / "overlays/dev"),
        "overlays/production": production,
        "secrets.example.yaml": read(KUBERNETES / "secrets.example.yaml"),
        "the chart": documents_of({}),
        "the guarded chart": documents_of(GUARDED),
    }
    findings = [*check_generated(), *check_lint(), *check_values(), *check_job()]
    for where, documents in everything.items():
        findings += check_schemas(where, documents, known)
        findings += check_pods(where, documents)
    findings += check_guarded(everything["the guarded chart"])
    findings += check_permissions("overlays/production", production)
    findings += check_alerts("overlays/production", production)
    findings += check_broker("overlays/production", production)
    if findings:
        sys.exit("\n".join(findings))


if sys.argv[1] == "render":
    render()
else:
    check(pathlib.Path(sys.argv[2]))
