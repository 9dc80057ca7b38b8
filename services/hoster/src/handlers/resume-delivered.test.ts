/** Resumes of turns whose records the caller has, all of them. */
import { HosterService } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import { StatefulHost } from '@cabstand/testing';
import { Harness, epoch, hear, uniqueId, until } from './harness.fixture';
import type { Heard } from './harness.fixture';

let host: StatefulHost;
let harness: Harness;
beforeEach(async () => {
  host = new StatefulHost();
  harness = await Harness.start(host);
});
afterEach(() => harness.stop());

/** Each makes five chunks and an end. */
const turns = (count: number): v1.Replay[] =>
  Array.from({ length: count }, (_, turn) => ({
    turn,
    input: { prompt: '5', inputs: [], parameters: '' },
  }));

/** Runs the engine until the call is over, for three seconds at most. */
async function resumed(turn: number, delivered: number): Promise<Heard> {
  const session_id = uniqueId();
  const resume = {
    replay: turns(turn + 1),
    delivered_position: delivered,
    turn,
    checkpoint: null,
  };
  const stream = harness
    .client()
    .serverStream(
      HosterService.rpc_inference_stream,
      { model: 'fake', session_id, epoch: epoch(), durable: true, turn, prompt: '5', resume },
      { timeoutMs: 3000 },
    );
  return await hear(stream, () => {
    host.model.run();
    return false;
  });
}

test.each([
  ['the only turn', 0, 5],
  ['the last of three', 2, 17],
])('%s: the call ends at once, with its end of turn', async (_which, turn, delivered) => {
  const { notices, records } = await resumed(turn, delivered);
  expect(notices[0]?.opened?.position).toBe(delivered + 1);
  expect(records).toEqual([]);
  const [session] = [...harness.sessions.all()];
  await until(() => session?.state === 'orphaned');
  expect(session).toMatchObject({ turn, turnRuns: false, position: delivered + 1 });
});

test('a turn that still lacks its end gets that', async () => {
  const { records } = await resumed(2, 16);
  expect(records.map(({ position }) => position)).toEqual([17]);
});

test('on the stream of a session: closing it ends it', async () => {
  const session_id = uniqueId();
  const resume = { replay: turns(1), delivered_position: 5, turn: 0, checkpoint: null };
  const open = { session_id, epoch: epoch(), durable: true, model: 'fake', resume };
  const stream = harness.client().bidi(HosterService.rpc_session_stream, { timeoutMs: 3000 });
  await stream.send({ open });
  await stream.send({ close: {} });
  const { records } = await hear(stream.responses, () => {
    host.model.run();
    return false;
  });
  expect(records).toEqual([]);
  expect(harness.sessions.size).toBe(0);
});
