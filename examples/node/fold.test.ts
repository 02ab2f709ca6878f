// Each provider's call, in many orders: one result.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import type { CallEvent, TranscriptEvent } from './events.js';
import { fold, view, type State } from './fold.js';

const root = process.env['HOOKSWITCH_ROOT'] ?? '../..';
const read = (path: string) => JSON.parse(readFileSync(`${root}/${path}`, 'utf8'));

for (const name of readdirSync(`${root}/examples/calls`)) {
  test(`a call of ${name}`, () => {
    const { golden, call } = read(`examples/calls/${name}`) as { golden: string[]; call: object };
    const events = golden.flatMap(
      (path) => read(`tests/golden/${path}/expected.json`).events as (CallEvent | TranscriptEvent)[],
    );
    for (let round = 0; round < 300; round++) {
      const again = events.filter(() => Math.random() < 0.3);
      const order = [...events, ...again].map((event) => ({ event, at: Math.random() }));
      order.sort((a, b) => a.at - b.at);
      const state: State = {};
      for (const { event } of order) fold(state, event);
      assert.deepEqual(view(JSON.parse(JSON.stringify(state))), call);
    }
  });
}
