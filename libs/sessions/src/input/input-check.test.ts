import { CabstandError } from '@cabstand/core';
import { tensorOf } from '@cabstand/tensor';
import { ANY_INPUT, FakeModel } from '@cabstand/testing';
import { attach, bench, open } from '../session-bench.fixture';
import type { TurnContent } from '../types';

const turnOf = (value: number): TurnContent => ({
  prompt: '',
  parameters: {},
  tensors: [tensorOf('x', Float32Array.of(value))],
  live: false,
});

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
    const b = bench();
    const { host, sessions } = b;
    expect(await refusal(() => open(b, { content: turnOf(NaN) }))).toEqual(NOT_FINITE);
    const resumeWith = (content: TurnContent, part: number): Promise<unknown> => {
      const { tensors } = turnOf(part);
      const turns = [{ turn: 0, content, parts: [{ part: 0, tensors, last: true }] }];
      const resume = { checkpoint: undefined, delivered: -1, turn: 0, turns };
      return refusal(() => open(b, { resume }));
    };
    expect(await resumeWith(turnOf(NaN), 1)).toEqual(NOT_FINITE);
    expect(await resumeWith({ ...turnOf(1), live: true }, NaN)).toEqual(NOT_FINITE);
    expect([sessions.size, sessions.principals, host.model.sequences.length]).toEqual([0, 0, 0]);
  });

  it('starts no turn, and is no part of one', async () => {
    const b = bench();
    const { host } = b;
    const session = await open(b);
    attach(session);
    expect(await refusal(() => session.startTurn(0, turnOf(NaN)))).toEqual(NOT_FINITE);
    expect([session.turn, host.model.last.turns]).toEqual([-1, []]);
    session.startTurn(0, { ...turnOf(1), live: true });
    const { tensors } = turnOf(NaN);
    expect(await refusal(() => session.input(0, 0, tensors, false))).toEqual(NOT_FINITE);
    expect(session.accepted).toMatchObject({ turn: 0, nextInput: 0 });
    session.input(0, 0, turnOf(2).tensors, false);
    expect(host.model.last.inputs).toEqual([{ turn: 0, part: 0, last: false }]);
  });

  it('is refused by the version that serves when a slot falls free', async () => {
    const b = bench({ queueLength: 1 }, 1);
    const { host, sessions } = b;
    const first = await open(b, { id: 'first' });
    const waiting = refusal(() => open(b, { content: turnOf(1) }));
    const [x, ...others] = ANY_INPUT.inputs;
    const newer = Object.assign(new FakeModel('fake', 1), {
      signature: { ...ANY_INPUT, inputs: [{ ...x, maximum: 0 }, ...others] },
    });
    host.resolve = () => newer;
    first.close({ reason: 'completed' });
    expect(await waiting).toEqual(['INPUT_OUT_OF_RANGE', 'tensor x element 0']);
    expect([sessions.size, sessions.principals, newer.sequences.length]).toEqual([0, 0, 0]);
  });
});
