/** Each input is checked once on its way in, whichever call brings it. */
import type * as Model from '@cabstand/model';
import { validateLiveInput, validateTurnInput } from '@cabstand/model';
import { HosterService } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import { tensorOf, toWire } from '@cabstand/tensor';
import { StatefulHost } from '@cabstand/testing';
import { Harness, epoch, hear, uniqueId, until } from './harness.fixture';

jest.mock('@cabstand/model', () => {
  const actual = jest.requireActual<typeof Model>('@cabstand/model');
  return {
    ...actual,
    validateTurnInput: jest.fn(actual.validateTurnInput),
    validateLiveInput: jest.fn(actual.validateLiveInput),
  };
});

let host: StatefulHost;
let harness: Harness;
beforeEach(async () => {
  host = new StatefulHost();
  harness = await Harness.start(host);
  jest.mocked(validateTurnInput).mockClear();
  jest.mocked(validateLiveInput).mockClear();
});
afterEach(() => harness.stop());

/** First value of `x` in each checked turn, in order. */
const turnsChecked = (): unknown[] =>
  jest.mocked(validateTurnInput).mock.calls.map(([, { tensors }]) => tensors[0]?.data[0]);
/** The same of each checked part of live input. */
const partsChecked = (): unknown[] =>
  jest.mocked(validateLiveInput).mock.calls.map(([, tensors]) => tensors[0]?.data[0]);

const x = (value: number): v1.Tensor[] => [toWire(tensorOf('x', Uint8Array.of(value)))];
const inputOf = (value: number): v1.TurnInput => ({ prompt: '', inputs: x(value), parameters: '' });
const part = (turn: number, number: number, value: number, last = false): v1.LiveInput => ({
  turn,
  part: number,
  inputs: x(value),
  last,
});

/** Runs a turn to its end, as the call that `request` makes. */
async function infer(request: v1.InferenceStreamRequest): Promise<void> {
  const stream = harness.client().serverStream(HosterService.rpc_inference_stream, {
    model: 'fake',
    ...request,
  });
  const { records } = await hear(stream, () => {
    host.model.run();
    return false;
  });
  expect(records.at(-1)?.end_of_turn?.reason).toBe('END_REASON_COMPLETED');
}

test('an opening turn, and one that follows it', async () => {
  const kept = { session_id: uniqueId(), epoch: epoch(), keep_session: true };
  await infer({ ...kept, turn: 0, inputs: x(1) });
  expect(turnsChecked()).toEqual([1]);
  await infer({ ...kept, turn: 1, inputs: x(2) });
  expect(turnsChecked()).toEqual([1, 2]);
});

test('the turns of a resume', async () => {
  const named = { session_id: uniqueId(), epoch: epoch(), durable: true };
  const replay: v1.Replay[] = [
    { turn: 0, input: inputOf(1) },
    { turn: 0, live_input: part(0, 0, 10) },
    { turn: 0, live_input: part(0, 1, 11, true) },
    { turn: 1, input: inputOf(2) },
  ];
  const resume = { replay, delivered_position: -1, turn: 2, checkpoint: null };
  await infer({ ...named, turn: 2, inputs: x(3), resume });
  expect(turnsChecked()).toEqual([1, 2, 3]);
  expect(partsChecked()).toEqual([10, 11]);
});

test('a resumed turn whose input came with the replay', async () => {
  const named = { session_id: uniqueId(), epoch: epoch(), durable: true };
  const replay: v1.Replay[] = [{ turn: 0, input: inputOf(1) }];
  const resume = { replay, delivered_position: -1, turn: 0, checkpoint: null };
  await infer({ ...named, turn: 0, resume });
  expect(turnsChecked()).toEqual([1]);
});

test('turns and parts on the stream of a session', async () => {
  const session_id = uniqueId();
  const stream = harness.client().bidi(HosterService.rpc_session_stream);
  await stream.send({ open: { session_id, epoch: epoch(), durable: true, model: 'fake' } });
  await until(() => harness.sessions.knows(session_id, 'alice'));
  const session = harness.sessions.find(session_id, 'alice');
  await stream.send({ turn: { turn: 0, input: inputOf(1), live: true } });
  await stream.send({ input: part(0, 0, 10) });
  // It came before, and is not looked at.
  await stream.send({ input: part(0, 0, 10) });
  await stream.send({ input: part(0, 1, 11, true) });
  await until(() => session.turnRuns && !session.awaitsInput);
  expect(turnsChecked()).toEqual([1]);
  expect(partsChecked()).toEqual([10, 11]);
});
