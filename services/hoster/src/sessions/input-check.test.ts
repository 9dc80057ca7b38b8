import { CabstandError, FakeClock } from '@cabstand/core';
import { tensorOf } from '@cabstand/tensor';
import { FakeHost, FakeModel, testSealer } from './host.fixture';
import { ANY_INPUT } from './manifest.fixture';
import { FakeReader } from './readers.fixture';
import type { Session } from './session';
import { Sessions } from './sessions';
import type { OpenRequest } from './sessions';
import type { TurnContent } from './types';

const EPOCH = { counter: 1, owner: 'aa' };

const turnOf = (value: number): TurnContent => ({
  prompt: '',
  parameters: {},
  tensors: [tensorOf('x', Float32Array.of(value))],
  live: false,
});

function bench(capacity = 2): {
  host: FakeHost;
  sessions: Sessions;
  open: (more?: Partial<OpenRequest>) => Promise<Session>;
} {
  const host = new FakeHost(capacity);
  const sessions = new Sessions({
    host,
    clock: new FakeClock(),
    observer: {},
    sealer: testSealer(),
    options: { queueLength: 1 },
  });
  const open = (more: Partial<OpenRequest> = {}): Promise<Session> =>
    sessions.open(
      {
        ...{ id: 's', principal: 'alice', model: 'fake', priority: 0 },
        ...{ retention: 'durable', epoch: EPOCH },
        ...more,
      },
      new AbortController().signal,
    );
  return { host, sessions, open };
}

async function refusal(act: () => unknown): Promise<unknown> {
  try {
    await act();
    return 'nothing thrown';
  } catch (error) {
    const { reason, metadata } = CabstandError.from(error);
    return [reason, metadata.field];
  }
}

const NOT_FINITE = ['INPUT_NOT_FINITE', 'tensor x element 0'];

describe('input that the model does not take', () => {
  it('takes no slot when it comes with the opening or a resume', async () => {
    const { host, sessions, open } = bench();
    expect(await refusal(() => open({ content: turnOf(NaN) }))).toEqual(NOT_FINITE);
    const resumeWith = (content: TurnContent, part: number): Promise<unknown> => {
      const { tensors } = turnOf(part);
      const turns = [{ turn: 0, content, parts: [{ part: 0, tensors, last: true }] }];
      const resume = { checkpoint: undefined, delivered: -1, turn: 0, turns };
      return refusal(() => open({ resume }));
    };
    expect(await resumeWith(turnOf(NaN), 1)).toEqual(NOT_FINITE);
    expect(await resumeWith({ ...turnOf(1), live: true }, NaN)).toEqual(NOT_FINITE);
    expect([sessions.size, sessions.principals, host.model.sequences.length]).toEqual([0, 0, 0]);
  });

  it('starts no turn, and is no part of one', async () => {
    const { host, open } = bench();
    const session = await open();
    session.attach(new FakeReader(), EPOCH, undefined);
    expect(await refusal(() => session.startTurn(0, turnOf(NaN)))).toEqual(NOT_FINITE);
    expect([session.turn, host.model.last.turns]).toEqual([-1, []]);
    session.startTurn(0, { ...turnOf(1), live: true });
    const { tensors } = turnOf(NaN);
    expect(await refusal(() => session.input(0, 0, tensors, false))).toEqual(NOT_FINITE);
    expect(session.accepted).toEqual({ turn: 0, nextInput: 0 });
    session.input(0, 0, turnOf(2).tensors, false);
    expect(host.model.last.inputs).toEqual([{ turn: 0, part: 0, last: false }]);
  });

  it('is refused by the version that serves when a slot falls free', async () => {
    const { host, sessions, open } = bench(1);
    const first = await open({ id: 'first' });
    const waiting = refusal(() => open({ content: turnOf(1) }));
    const [x, ...others] = ANY_INPUT.inputs;
    const newer = Object.assign(new FakeModel('fake', 1), {
      manifest: { ...ANY_INPUT, inputs: [{ ...x, maximum: 0 }, ...others] },
    });
    host.resolve = () => newer;
    first.close({ reason: 'completed' });
    expect(await waiting).toEqual(['INPUT_OUT_OF_RANGE', 'tensor x element 0']);
    expect([sessions.size, sessions.principals, newer.sequences.length]).toEqual([0, 0, 0]);
  });
});
