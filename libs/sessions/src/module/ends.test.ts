/** Rows of the table of a module's states: how its session ends, and who is told. */
import { CabstandError } from '@cabstand/core';
import type { FakeReader } from '../readers.fixture';
import { attach, epoch, expectEmpty, open } from '../session-bench.fixture';
import type { Bench } from '../session-bench.fixture';
import type { Session } from '../session';
import type { EndReason } from '../types';
import { moduleBench, started } from './module-bench.fixture';

const SESSION_SECONDS = 30;

const endingBench = (survival: 'none' | 'replay' = 'replay'): Bench =>
  moduleBench(
    survival,
    { orphanTimeoutMs: 5000, idleTimeoutMs: 8000 },
    { sessionSeconds: SESSION_SECONDS },
  );

interface Ride {
  readonly b: Bench;
  readonly session: Session;
  readonly reader: FakeReader;
}

async function ride(survival: 'none' | 'replay' = 'replay'): Promise<Ride> {
  const b = endingBench(survival);
  const { session, reader } = await started(b);
  b.host.model.last.step();
  return { b, session, reader };
}

/** The author has come to the end that he was told of. */
const comply = ({ b }: Ride): void => {
  const { last } = b.host.model;
  last.finish({ reason: last.stopped ?? 'completed', steps: 1 });
};

const ENDS: readonly [
  what: string,
  reason: EndReason,
  survival: 'none' | 'replay',
  end: (ride: Ride) => Promise<void> | void,
][] = [
  ['the author returns', 'completed', 'replay', comply],
  [
    'the author throws',
    'error',
    'replay',
    ({ b }) => {
      const error = new CabstandError('MODULE_FAILED', 'it threw');
      b.host.model.last.finish({ reason: 'error', steps: 1, error });
    },
  ],
  [
    'somebody closes it',
    'stopped',
    'replay',
    (one) => {
      one.session.close({ reason: 'stopped' });
      comply(one);
    },
  ],
  [
    'its turn is cancelled',
    'cancelled',
    'replay',
    (one) => {
      one.session.cancelTurn(0);
      comply(one);
    },
  ],
  [
    'it has lived for session_seconds',
    'timed_out',
    'replay',
    async (one) => {
      await one.b.clock.advance(SESSION_SECONDS * 1000);
      one.b.sessions.tellProgress();
      comply(one);
    },
  ],
  [
    'it is evicted',
    'evicted',
    'replay',
    (one) => {
      one.session.close({ reason: 'evicted' });
      comply(one);
    },
  ],
  [
    'it is handed over',
    'migrated',
    'replay',
    async ({ b, session }) => {
      const moved = session.handOver();
      const data = Buffer.from('state');
      const state = { data, records: 1, steps: 1, partsTaken: 0, ended: false };
      b.host.model.last.sink.snapshot(0, state);
      await moved;
    },
  ],
  [
    'its engine dies, and it survives none',
    'lost',
    'none',
    ({ b }) => b.host.model.last.fail(new CabstandError('ENGINE_CRASHED', 'it died')),
  ],
];

describe('the consumer and the observers are told how it ended', () => {
  test.each(ENDS)('when %s: %s', async (_what, reason, survival, end) => {
    const one = await ride(survival);
    await end(one);
    // What comes behind the last acknowledgement is not missed.
    if (one.session.end === undefined) one.session.acknowledge(one.session.position - 1);
    expect(one.reader.gone).toMatchObject({ kind: 'ended', end: { reason } });
    expect(one.b.ends).toMatchObject([{ reason }]);
    expect(one.b.sessions.status('s', 'alice').end?.reason).toBe(reason);
    expectEmpty(one.b);
  });
});

describe('without a reader', () => {
  it('ends after the orphan timeout, and its author is told', async () => {
    const { b, reader } = await ride();
    reader.attachment?.detach('cancelled');
    await b.clock.advance(4999);
    expect(b.ends).toEqual([]);
    await b.clock.advance(1);
    expect(b.ends).toEqual([{ reason: 'timed_out' }]);
    expect(b.host.model.last.stopped).toBe('timed_out');
    expectEmpty(b);
  });

  it('what is left of one that came to its end can be read, even after session_seconds', async () => {
    const one = await ride();
    const { b, session, reader } = one;
    await b.clock.advance(SESSION_SECONDS * 1000 - 1);
    reader.attachment?.detach('cancelled');
    comply(one);
    await b.clock.advance(2000);
    b.sessions.tellProgress();
    expect(attach(session, 0, undefined, epoch(1)).kinds).toBe('ce');
    session.acknowledge(1);
    expect(b.ends).toEqual([{ reason: 'completed' }]);
  });

  it('one that was closed ends with its author, though session_seconds pass before', async () => {
    const one = await ride();
    const { b, session, reader } = one;
    await b.clock.advance(SESSION_SECONDS * 1000 - 1);
    session.close({ reason: 'stopped' });
    reader.attachment?.detach('cancelled');
    await b.clock.advance(1);
    b.sessions.tellProgress();
    comply(one);
    expect(b.ends).toEqual([{ reason: 'stopped' }]);
    expectEmpty(b);
  });

  it('one that never began ends when it was idle for too long', async () => {
    const b = endingBench();
    await open(b);
    await b.clock.advance(8000);
    expect(b.ends).toEqual([{ reason: 'timed_out' }]);
    expectEmpty(b);
  });
});
