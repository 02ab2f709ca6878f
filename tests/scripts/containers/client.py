"""What containers.sh says to the services of docker-compose.yml, and what it asks them.

    client.py load URL SECRET RECORD      posts calls of the source wavix until SIGTERM; records each answer
    client.py drain URL CONF              takes all events out of the queue events.all, and prints them
    client.py compare RECORD EVENTS       compares the answers with the events
    client.py sources EVENTS              prints the sources of the events
    client.py targets URL RULES COUNT     waits until Prometheus has loaded RULES, and COUNT targets are up
    client.py panels URL DASHBOARD        asks Prometheus what the panels of a Grafana dashboard ask
    client.py probe URL                   prints the answer; fails unless it is a 200 within a second
    client.py crates PROGRAM              counts the crates that cargo auditable has listed in a program
"""

import base64
import collections
import http.client
import json
import re
import signal
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
import zlib

RATE = 100
SENDERS = 4


def load(url, secret, record):
    """Posts RATE webhooks a second, none of them twice, and takes no answer for an answer that is not 200."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    address = urllib.parse.urlsplit(url)
    with open(secret, encoding="utf-8") as file:
        proof = base64.b64encode(f"wavix:{file.read().strip()}".encode()).decode()
    answers = []

    def send():
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=10)
        due = time.monotonic()
        while not stop.wait(max(0, due - time.monotonic())):
            due += SENDERS / RATE
            call = str(uuid.uuid4())
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            body = {"uuid": call, "event_type": "completed", "event_time": at, "call_started": at}
            try:
                headers = {"authorization": f"Basic {proof}", "content-type": "application/json"}
                connection.request("POST", "/in/wavix", json.dumps(body), headers)
                answer = connection.getresponse()
                answer.read()
                answers.append((call, str(answer.status)))
            except (OSError, http.client.HTTPException):
                connection.close()
                answers.append((call, "none"))

    senders = [threading.Thread(target=send) for _ in range(SENDERS)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    with open(record, "w", encoding="utf-8") as file:
        file.writelines(f"{call} {status}\n" for call, status in answers)


def drain(url, conf):
    """Prints the events, one a line."""
    with open(conf, encoding="utf-8") as file:
        settings = dict(re.findall(r"^(\w+) = (.*)$", file.read(), re.MULTILINE))
    pair = f"{settings['default_user']}:{settings['default_pass']}"
    ask = urllib.request.Request(
        f"{url}/api/queues/%2F/events.all/get",
        json.dumps({"count": 1000, "ackmode": "ack_requeue_false", "encoding": "auto"}).encode(),
        {"authorization": "Basic " + base64.b64encode(pair.encode()).decode()},
    )
    messages = True
    while messages:
        with urllib.request.urlopen(ask, timeout=30) as answer:
            messages = json.load(answer)
        for message in messages:
            print(message["payload"])


def events_in(file):
    return [json.loads(line) for line in file]


def sources(events):
    with open(events, encoding="utf-8") as file:
        print(*sorted({event["source"].rpartition("/")[2] for event in events_in(file)}))


def compare(record, events):
    """Fails if an answer 200 has no event."""
    with open(record, encoding="utf-8") as file:
        answers = dict(line.split() for line in file)
    seen = collections.Counter()
    with open(events, encoding="utf-8") as file:
        for event in events_in(file):
            if event["subject"].startswith("call/"):
                seen[event["subject"].removeprefix("call/")] += 1
    accepted = {call for call, status in answers.items() if status == "200"}
    lost = accepted - seen.keys()
    twice = [call for call in answers if seen[call] > 1]
    others = collections.Counter(status for status in answers.values() if status != "200")
    print(
        f"    {len(answers)} webhooks posted, {len(accepted)} answered with 200, "
        f"{sum(others.values())} not ({dict(others)}); "
        f"{len(lost)} of the accepted lost, {len(twice)} published twice"
    )
    if lost or twice or not accepted:
        sys.exit("the events are not those of the accepted webhooks")


def ask_prometheus(url, path):
    with urllib.request.urlopen(f"{url}/api/v1/{path}", timeout=10) as answer:
        return json.load(answer)["data"]


def targets(url, rules, count):
    with open(rules, encoding="utf-8") as file:
        wanted = file.read().count("- alert: ")
    deadline = time.monotonic() + 60
    while True:
        active = ask_prometheus(url, "targets?state=active")["activeTargets"]
        groups = ask_prometheus(url, "rules")["groups"]
        loaded = [rule for group in groups for rule in group["rules"]]
        health = collections.Counter(f"{target['labels']['job']} {target['health']}" for target in active)
        up = sum(target["health"] == "up" for target in active)
        well = sum(rule["health"] == "ok" for rule in loaded)
        if up == len(active) == int(count) and well == wanted:
            print(f"    {dict(health)}, {well} alert rules loaded and evaluated")
            return
        if time.monotonic() > deadline:
            errors = [target["lastError"] for target in active if target["lastError"]]
            sys.exit(f"targets: {dict(health)} of {count}, rules: {well} of {wanted}; {errors}")
        time.sleep(1)


def panels(url, dashboard):
    with open(dashboard, encoding="utf-8") as file:
        asked = [
            (panel["title"], target["expr"].replace("$__rate_interval", "1m"))
            for panel in json.load(file)["panels"]
            for target in panel["targets"]
        ]
    empty = [
        f"{title}: {query}"
        for title, query in asked
        if not ask_prometheus(url, "query?" + urllib.parse.urlencode({"query": query}))["result"]
    ]
    if empty:
        sys.exit("these queries of the dashboard return nothing:\n" + "\n".join(empty))
    print(f"    {len(asked)} queries of {dashboard} return data")


def probe(url):
    """Asks what a probe of Kubernetes asks."""
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            print(answer.read().decode(), end="")
    except urllib.error.HTTPError as error:
        print(error.read().decode(), end="")
        sys.exit(1)
    except OSError as error:
        print(error)
        sys.exit(1)


def crates(program):
    """Finds the section `.dep-v0`, which is compressed JSON."""
    with open(program, "rb") as file:
        image = file.read()
    start = image.find(b'\x78', 0)
    while start >= 0:
        try:
            found = json.loads(zlib.decompressobj().decompress(image[start : start + 65536]))
            print(len(found["packages"]))
            return
        except (zlib.error, ValueError):
            start = image.find(b"\x78", start + 1)
    sys.exit("the program lists no crates")


COMMANDS = [load, drain, sources, compare, targets, panels, probe, crates]
{command.__name__: command for command in COMMANDS}[sys.argv[1]](*sys.argv[2:])
