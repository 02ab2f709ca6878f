/**
 * Folds the events of a call into its current state: in any order, each any number of times, one result.
 *
 * Each part of the state keeps the value of the event with the highest rank, so nothing needs to be sorted or
 * awaited. The rules are in docs/consuming.md. A state is plain JSON: store it under the `correlationid`.
 */
import type { CallData, CallEvent, Segment, TranscriptEvent } from './events.js';

/** Part of the state → rank and value. Some parts are of a group, as in `tags/quote`. */
export type State = Record<string, [rank: string, value: unknown]>;
/** A part of the state, the first part of its rank, and its value. */
type Fact = [part: string, first: string, value: unknown];
/** A call as it is known by now. */
export type Call = Omit<CallData, 'tag'> & {
  tags?: string[];
  deleted?: boolean;
  transcript?: Partial<TranscriptEvent['data']>;
};

/** The types that tell how the call stands. The others only complete what these say. */
const LIFE = [
  'scheduled', 'initiated', 'ringing', 'early_media', 'answered', 'transferred', 'ended', 'updated',
];
const STATUSES = ['scheduled', 'initiated', 'ringing', 'in_progress', 'ended'];
/** Fields that have rules of their own, or are true of the event alone. */
const APART = [
  'status', 'status_raw', 'tag', 'recordings', 'media', 'digits', 'snapshot', 'derived', 'unmapped',
];
/** What a transcript says of itself. The rest of its data is about the call. */
const OF_TRANSCRIPT = [
  'transcript', 'full_text', 'participants', 'transcript_seconds', 'transcript_id', 'error',
];

/** Yields what an event about a transcript says. */
function* ofTranscript({ type, id, data }: TranscriptEvent): Generator<Fact> {
  if (type === 'call.transcript.partial') {
    yield [`lines/${id}`, '', data.transcript ?? []];
  } else {
    const own = Object.entries(data).filter(([name]) => OF_TRANSCRIPT.includes(name));
    // Some have no text, such as those of a failure: they do not replace one that has.
    const isWhole = type === 'call.transcript.deleted' || 'transcript' in data || 'full_text' in data;
    if (own.length > 0 || isWhole) {
      yield ['transcript', `${+isWhole}`, Object.fromEntries(own)];
    }
  }
  for (const [name, value] of Object.entries(data)) {
    if (!OF_TRANSCRIPT.includes(name) && !APART.includes(name)) yield [name, '10', value];
  }
}

/** Returns the tag that `call.untagged` removes, under Allo's names: no other provider removes tags. */
function removedTag({ unmapped }: CallData): string | undefined {
  // It is not the call's tag, so no field holds it.
  const sent = (unmapped?.['data'] ?? unmapped?.['body'] ?? {}) as Record<string, unknown>;
  const names = ['tag', 'call_category', 'callCategory'];
  return names.map((name) => sent[name]).find((tag) => typeof tag === 'string');
}

/** Yields what another event says of its call. */
function* ofCall({ type, data }: CallEvent): Generator<Fact> {
  const kind = type.slice('call.'.length);
  const isLife = LIFE.includes(kind);
  if (isLife && data.status) yield ['status', `${STATUSES.indexOf(data.status)}`, data.status];
  if (kind === 'deleted') yield ['deleted', '', true];
  const removed = kind === 'untagged' ? removedTag(data) : undefined;
  if (removed !== undefined) yield [`tags/${removed}`, '', false];
  if (data.tag !== undefined) yield [`tags/${data.tag}`, '', true];
  for (const recording of data.recordings ?? []) {
    yield [`recordings/${recording.url ?? recording.id}`, '', recording];
  }
  for (const [name, value] of Object.entries(data)) {
    if (APART.includes(name)) continue;
    yield [name, data.derived?.includes(name) ? `0${+isLife}` : `1${+isLife}`, value];
  }
}

const isOfTranscript = (event: CallEvent | TranscriptEvent): event is TranscriptEvent =>
  event.type.startsWith('call.transcript.');

/** Takes an event into the state of its call. */
export function fold(state: State, event: CallEvent | TranscriptEvent): void {
  // `sequence` sorts by the time at the provider, then by the stage of the type; `recordedtime` is the time
  // of receipt. Without its Z, a time with a shorter fraction sorts before one with a longer.
  const moment = `${event.sequence} ${event.recordedtime.replace('Z', '')} ${event.id}`;
  for (const [part, first, value] of isOfTranscript(event) ? ofTranscript(event) : ofCall(event)) {
    const rank = `${first} ${moment}`;
    const known = state[part];
    if (!known || known[0] < rank) state[part] = [rank, value];
  }
}

/** Returns the call as it is known by now. */
export function view(state: State): Call {
  const call: Record<string, unknown> = {};
  const tags: string[] = [];
  const recordings: unknown[] = [];
  const lines: [rank: string, spoken: Segment[]][] = [];
  for (const [part, [rank, value]] of Object.entries(state).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const [group, name] = part.split(/\/(.*)/s);
    if (group === 'lines') lines.push([rank, value as Segment[]]);
    else if (group === 'tags') tags.push(...(value ? [name ?? ''] : []));
    else if (group === 'recordings') recordings.push(value);
    else call[part] = value;
  }
  if (tags.length > 0) call['tags'] = tags;
  if (recordings.length > 0) call['recordings'] = recordings;
  if (lines.length > 0 && (state['transcript']?.[0] ?? '0').startsWith('0')) {
    lines.sort(([a], [b]) => (a < b ? -1 : 1));
    const spoken = lines.flatMap(([, said]) => said);
    call['transcript'] = { ...(call['transcript'] ?? {}), transcript: spoken };
  }
  return call as Call;
}
