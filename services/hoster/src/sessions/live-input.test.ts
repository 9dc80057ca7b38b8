import { tensorOf } from '@cabstand/tensor';
import { attach, bench, content, open, reasonOf } from './session-bench.fixture';

describe('live input of a session', () => {
  it('numbers live input: takes each part once, refuses gaps, says what was applied', async () => {
    const b = bench();
    const session = await open(b);
    const reader = attach(session);
    const tensors = [tensorOf('x', new Float32Array(4))];
    session.startTurn(0, content('', true));
    session.input(0, 0, tensors, false);
    session.input(0, 0, tensors, false);
    expect(reasonOf(() => session.input(0, 2, tensors, false))).toBe('INVALID_ARGUMENT');
    expect(reasonOf(() => session.input(1, 0, tensors, false))).toBe('TURN_OUT_OF_ORDER');
    session.input(0, 1, tensors, true);
    expect(reasonOf(() => session.input(0, 2, tensors, false))).toBe('INVALID_ARGUMENT');
    const engine = b.host.model.last;
    expect(engine.inputs.map(({ part }) => part)).toEqual([0, 1]);
    engine.sink.inputTaken(0, 2);
    engine.finish();
    expect(reader.kinds).toBe('iie');
    expect(reader.notices).toEqual([{ kind: 'accepted', turn: 0, nextInput: 2 }]);
    // Late parts of a turn that is over harm nobody.
    session.input(0, 2, tensors, false);
  });

  it('makes a sender of live input wait, but never for what only its own acknowledgement frees', async () => {
    const b = bench({ liveParts: 2, journalRecords: 4 });
    const session = await open(b);
    attach(session);
    session.startTurn(0, content('', true));
    const engine = b.host.model.last;
    session.input(0, 0, [], false);
    expect(session.inputRoom()).toBeUndefined();
    session.input(0, 1, [], false);
    let woken = false;
    void session.inputRoom()?.then(() => (woken = true));
    await b.clock.advance(0);
    expect(woken).toBe(false);
    engine.sink.inputTaken(0, 1);
    await b.clock.advance(0);
    expect(woken).toBe(true);
    session.input(0, 2, [], false);
    expect(session.inputRoom()).toBeDefined();
    while (engine.step());
    expect(session.inputRoom()).toBeUndefined();
    expect(reasonOf(() => session.input(0, 3, [], false))).toBe('LIMIT_EXCEEDED');
  });
});
