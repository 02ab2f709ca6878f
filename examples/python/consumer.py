"""Prints one line per hookswitch event, each event once: python consumer.py QUEUE"""
import asyncio
import json
import os
import sys
import time
from pathlib import Path
from uuid import UUID

import aio_pika

URL = os.environ.get("HOOKSWITCH_AMQP_URL", "amqp://guest:guest@127.0.0.1:25670/%2f")
SEEN = Path(os.environ.get("SEEN", "seen"))  # a folder with an empty file per event id; yours is a table


def work(event: dict[str, object]) -> None:
    print(event["time"], event["type"], event["subject"], event["id"], flush=True)


async def consume(queue: str) -> None:
    # A robust connection reconnects, and subscribes again, by itself.
    async with await aio_pika.connect_robust(URL, reconnect_interval=1) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=100)
        async for message in (await channel.get_queue(queue)).iterator():
            event = json.loads(message.body)
            mark = SEEN / str(UUID(event["id"]))
            if not mark.exists():
                work(event)
                mark.touch()
            await message.ack()


SEEN.mkdir(exist_ok=True)
while True:
    try:
        asyncio.run(consume(sys.argv[1]))
    except Exception as error:
        print(f"{error!r}: trying again", file=sys.stderr)
    time.sleep(1)
