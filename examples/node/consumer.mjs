// Prints one line per hookswitch event, each event once: node consumer.mjs QUEUE
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection, ConsumerStatus } from 'rabbitmq-client';

const url = process.env.HOOKSWITCH_AMQP_URL ?? 'amqp://guest:guest@127.0.0.1:25670/%2f';
const seen = process.env.SEEN ?? 'seen'; // a folder with an empty file per event id; yours is a table
mkdirSync(seen, { recursive: true });

function work(event) {
  console.log(event.time, event.type, event.subject, event.id);
}

function handle(event) {
  const mark = `${seen}/${encodeURIComponent(event.id)}`;
  if (existsSync(mark)) return;
  work(event);
  writeFileSync(mark, '');
}

// Both reconnect, and subscribe again, by themselves. The message is acked when the function returns.
const rabbit = new Connection(url);
const consumer = rabbit.createConsumer(
  { queue: process.argv[2], queueOptions: { passive: true }, qos: { prefetchCount: 100 }, concurrency: 1 },
  async (message) => {
    try {
      handle(JSON.parse(message.body));
    } catch (error) {
      console.error(`${error}: trying again`);
      await sleep(1000);
      return ConsumerStatus.REQUEUE;
    }
  },
);
for (const part of [rabbit, consumer]) part.on('error', (error) => console.error(`${error}: trying again`));
