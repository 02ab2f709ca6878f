// Each provider's call, in many orders: one result.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import type { CallEvent, TranscriptEvent } from './events.js';
import { fold, view, type State } from './fold.js';

const root = process.env['HOOKSWITCH_ROOT'] ?? '../..';
const read = (path: string) => JSON.parse(readFileSync(`${root}/${path}`, 'utf8'));

type Event = CallEvent | TranscriptEvent;
const eventsOf = (path: string) => read(`tests/golden/${path}/expected.json`).events as Event[];
const viewOf = (events: Event[]) => {
  const state: State = {};
  for (const event of events) fold(state, event);
  return view(state);
};

for (const name of readdirSync(`${root}/examples/calls`)) {
  test(`a call of ${name}`, () => {
    const { golden, call } = read(`examples/calls/${name}`) as { golden: string[]; call: object };
    const events = golden.flatMap(eventsOf);
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

test('an event that removes a tag need not say which', () => {
  const [added] = eventsOf('allo/v2-tag-added') as [CallEvent];
  const [removed] = eventsOf('allo/v2-tag-removed-is-not-the-calls-tag') as [CallEvent];
  const later = { ...removed, sequence: `${added.sequence}-later` };
  for (const unmapped of [{}, { data: 'quote' }, { data: { tag: 7 } }, { data: ['quote'] }]) {
    assert.deepEqual(viewOf([added, { ...later, data: { unmapped } }]).tags, ['quote']);
  }
  assert.deepEqual(viewOf([added, { ...later, data: {} }]).tags, ['quote']);
  for (const unmapped of [{ data: { call_category: 'quote' } }, { body: { callCategory: 'quote' } }]) {
    assert.equal(viewOf([added, { ...later, data: { unmapped } }]).tags, undefined);
  }
});

test('a transcript event without text takes no text away', () => {
  const partial = eventsOf('salpre/transcript');
  const isWhole = (event: Event) => event.type.startsWith('call.transcript.');
  const whole = eventsOf('salpre/call-ended').filter(isWhole) as [TranscriptEvent];
  const of = (type: TranscriptEvent['type'], data: TranscriptEvent['data']) =>
    ({ ...whole[0], type, sequence: '9', data }) as TranscriptEvent;
  const failed = of('call.transcript.failed', { error: 'noise' });
  const deleted = of('call.transcript.deleted', {});
  const cases: [events: Event[], lines: number | undefined, error: string | undefined][] = [
    [[...partial, failed], 1, 'noise'],
    [[...partial, ...whole, failed], 3, undefined],
    [[...partial, ...whole, deleted], undefined, undefined],
  ];
  for (const [events, lines, error] of cases) {
    for (const order of [events, [...events].reverse()]) {
      const { transcript } = viewOf(order);
      assert.equal(transcript?.transcript?.length, lines);
      assert.equal(transcript?.error, error);
    }
  }
});
