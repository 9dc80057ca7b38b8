import fc from 'fast-check';
import { CabstandError, FakeClock } from '@cabstand/core';
import { FakeHost, testSealer } from '@cabstand/testing';
import { FakeReader } from './readers.fixture';
import { Sessions } from './sessions';
import type { Retention } from './types';

const RECORDS = 6;
const BYTES = 200;
const LARGEST = 60;

type Op =
  | { readonly op: 'turn' | 'finish' | 'detach' | 'attach' | 'takeover' | 'cancel' }
  | { readonly op: 'step'; readonly size: number }
  | { readonly op: 'read'; readonly records: number }
  | { readonly op: 'ack'; readonly back: number };

const ops: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constant('step' as const),
      size: fc.integer({ min: 3, max: LARGEST }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant('read' as const),
      records: fc.integer({ min: 1, max: 5 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ op: fc.constant('ack' as const), back: fc.nat({ max: 3 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constantFrom('turn', 'finish', 'detach', 'attach', 'takeover', 'cancel'),
    }),
  },
);

/** What the consumer has, across all its readers. */
class Consumer {
  readonly delivered: number[] = [];
  reader: FakeReader | undefined;
  #counted = 0;

  collect(): void {
    const { reader } = this;
    if (reader === undefined) return;
    for (const entry of reader.entries.slice(this.#counted)) {
      this.#counted++;
      // Re-sent records come again only from where the consumer asked.
      if (entry.position === this.delivered.length) this.delivered.push(entry.position);
      else expect(entry.position).toBeLessThan(this.delivered.length);
    }
  }

  next(reader: FakeReader): void {
    this.collect();
    this.reader = reader;
    this.#counted = 0;
  }
}

async function play(retention: Retention, steps: readonly Op[]): Promise<void> {
  const clock = new FakeClock();
  const host = new FakeHost();
  const sessions = new Sessions({
    sealer: testSealer(),
    host,
    clock,
    options: { journalRecords: RECORDS, journalBytes: BYTES },
  });
  let counter = 1;
  let turn = 0;
  const session = await sessions.open(
    {
      id: 's',
      principal: 'p',
      model: 'fake',
      retention,
      epoch: { counter, owner: 'aa' },
      priority: 0,
    },
    new AbortController().signal,
  );
  const engine = host.model.last;
  const consumer = new Consumer();
  const attach = (): void => {
    const reader = new FakeReader(2);
    const from = retention === 'durable' ? consumer.delivered.length : undefined;
    consumer.next(reader);
    reader.attachment = session.attach(reader, { counter, owner: 'aa' }, from);
  };
  attach();
  for (const step of steps) {
    if (session.state === 'ended') break;
    switch (step.op) {
      case 'turn':
        try {
          session.startTurn(turn, { prompt: `${turn}`, parameters: {}, tensors: [], live: false });
          turn = session.turn + (session.turnRuns ? 0 : 1);
        } catch (error) {
          // Too many ends of turns that nobody acknowledged.
          expect(CabstandError.from(error).reason).toBe('LIMIT_EXCEEDED');
        }
        break;
      case 'step':
        engine.step(step.size);
        break;
      case 'finish':
        engine.finish();
        if (!session.turnRuns) turn = session.turn + 1;
        break;
      case 'cancel':
        if (session.turn >= 0) session.cancelTurn(session.turn);
        break;
      case 'read':
        consumer.reader?.read(step.records);
        break;
      case 'ack':
        consumer.collect();
        if (consumer.delivered.length > step.back)
          session.acknowledge(consumer.delivered.length - 1 - step.back);
        break;
      case 'detach':
        consumer.reader?.attachment?.detach('cancelled');
        break;
      case 'attach':
      case 'takeover':
        consumer.collect();
        if (step.op === 'takeover') counter++;
        attach();
        break;
    }
    consumer.collect();
    // What is promised never goes beyond the window, nor does what is kept (ends come on top).
    const { records: promised } = session.credit;
    const { records, bytes } = session.journal;
    expect(Math.max(0, promised)).toBe(Math.max(0, engine.records));
    expect(Math.max(0, promised) + records).toBeLessThanOrEqual(RECORDS + 2);
    expect(bytes).toBeLessThanOrEqual((RECORDS + 2) * (LARGEST + 40));
    expect(consumer.delivered).toEqual([...consumer.delivered.keys()]);
  }
  if (session.state !== 'ended') {
    // Nothing is lost: whoever reads on and acknowledges gets everything.
    if (session.state === 'orphaned') attach();
    for (let i = 0; i < 100 && consumer.delivered.length < session.position; i++) {
      consumer.reader?.read(10);
      consumer.collect();
    }
    expect(consumer.delivered).toHaveLength(session.position);
    session.abort({ reason: 'cancelled' });
  }
  expect([sessions.size, sessions.principals, host.model.openSequences, clock.pending]).toEqual([
    0, 0, 0, 0,
  ]);
}

describe('whatever happens to a session', () => {
  it.each(['durable', 'kept', 'call'] as const)(
    'its positions have no gaps, its window holds, and it leaves nothing: %s',
    async (retention) => {
      await fc.assert(
        fc.asyncProperty(fc.array(ops, { maxLength: 120 }), (steps) => play(retention, steps)),
        { numRuns: 300 },
      );
    },
  );
});
