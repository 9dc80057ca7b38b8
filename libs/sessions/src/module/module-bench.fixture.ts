/** A session of a module on an engine in memory. */
import { CabstandError } from '@cabstand/core';
import type { SessionTraits } from '@cabstand/model';
import { codecs } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import type { ModuleRecord } from '../engine/engine';
import type { FakeReader } from '../readers.fixture';
import type { SessionOptions } from '../options';
import { attach, bench, content, open } from '../session-bench.fixture';
import type { Bench } from '../session-bench.fixture';
import type { Session } from '../session';

const DIED = new CabstandError('ENGINE_CRASHED', 'it died');
const schema = {
  type: 'object',
  properties: { prompt: { type: 'string', maxLength: 5 } },
  required: ['prompt'],
  additionalProperties: false,
};

/** A bench whose model is a module with these traits; one that is exclusive has one place. */
export function moduleBench(
  survival: SessionTraits['survival'],
  options: SessionOptions = {},
  traits: Partial<SessionTraits> = {},
): Bench {
  const b = bench(options, traits.exclusive === true ? 1 : undefined);
  const { model } = b.host;
  model.signature = {
    ...model.signature,
    kind: 'module',
    inputs: [],
    sessions: {
      ...{ exclusive: false, survival, messages: {}, sessionSeconds: 60 },
      ...{ commandsWaiting: 2, commandBytes: 100, replayRecords: 4, stopGraceSeconds: 1 },
      ...{ resultBytes: 100, messageBytes: 100 },
      ...traits,
    },
  };
  model.commands = [{ name: 'say', arguments: schema }];
  return b;
}

export function serialized(record: v1.Record): Pick<ModuleRecord, 'field' | 'body'> {
  // `position` is left out where it is 0: what is left is the tag, the length and the body.
  const bytes = Buffer.from(codecs.Record.encode(record));
  let start = 1;
  while ((bytes[start++] ?? 0) > 0x7f);
  return { field: (bytes[0] ?? 0) >> 3, body: bytes.subarray(start) };
}

let chain = 0;
beforeEach(() => chainFrom(0));

/** The next record comes behind this `chain`: an engine begins again. */
export function chainFrom(before: number): void {
  chain = before;
}

/** The engine's next record. */
export function give(
  b: Bench,
  record: v1.Record,
  { more = false, point = 0, key = false } = {},
): void {
  const { sink } = b.host.model.last;
  sink.record(0, { ...serialized(record), point, chain: ++chain, more, key });
}

export const chunk = (text: string): v1.Record => ({ chunk: { text } });
export const applied = (sequence: number, prompt: string): v1.Record => ({
  applied: { sequence, name: 'say', arguments: JSON.stringify({ prompt }) },
});
export const say = (number: number, prompt: string) => ({
  ...{ number, name: 'say', arguments: JSON.stringify({ prompt }) },
});

export function snapshot(b: Bench, records: number, ended = false): void {
  const data = Buffer.from(`state ${records}`);
  b.host.model.last.sink.snapshot(0, { data, records, steps: 0, partsTaken: 0, ended });
}

export function recordsOf(reader: FakeReader): v1.Record__Output[] {
  return reader.entries.map(
    ({ bytes }) =>
      codecs.SessionStreamResponse.decode(bytes).record ??
      (() => {
        throw new Error('no record');
      })(),
  );
}

export const textsOf = (reader: FakeReader): (string | undefined)[] =>
  recordsOf(reader).map((record) => record.chunk?.text ?? record.applied?.arguments);

export async function started(
  b: Bench,
  durable = true,
): Promise<{ session: Session; reader: FakeReader }> {
  const session = await open(b, { retention: durable ? 'durable' : 'call' });
  const reader = attach(session);
  session.startTurn(0, content());
  return { session, reader };
}

/** The engine dies, and the next one is there. */
export function die(b: Bench): void {
  b.host.model.last.fail(DIED);
  for (const listener of [...b.host.listeners]) listener();
}
