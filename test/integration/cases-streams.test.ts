/** Streams: each step takes frames and the state that the step before left. */
import type { Chunk, Tensor, TensorInput } from '@cabstand/client';
import { plain } from '../support/cases/direct';
import { CALLERS, Served, chunksOf } from '../support/cases/served';
import { part, repeated, stepwise } from '../support/cases/stepwise';
import { KIN, STREAMS, loopOf, streamOf } from '../support/cases/streams';

let served: Served;

beforeAll(async () => {
  served = await Served.start(['f16-state-half', 'emit-and-state', 'aec-two-streams'], KIN);
}, 120_000);

afterAll(() => served[Symbol.asyncDispose]());

const shown = (chunks: readonly Chunk[]): object[] => chunks.map((one) => plain(one.tensor('y')));
const slices = (input: Record<string, Tensor>, start: number, end: number): TensorInput =>
  Object.fromEntries(Object.entries(input).map(([name, all]) => [name, part(all, start, end)]));

describe.each(Object.keys(STREAMS))('%s', (model) => {
  const { frame } = streamOf(model).loop;

  async function expected(input: Record<string, Tensor>): Promise<object[]> {
    const steps = await stepwise(await served.direct(model), loopOf(model, input));
    return steps.map((step) => plain(step));
  }

  test('equals a direct loop, frame by frame, over turns that cut it anywhere', async () => {
    await served.ready(model);
    const input = streamOf(model).signals(frame * 12 + 1, 3);
    const cuts = [0, frame * 3, frame * 3 + 1, frame * 7 - 1, frame * 12 + 1];
    await using session = served.session(model);
    const got: object[] = [];
    for (const [turn, start] of cuts.slice(0, -1).entries())
      got.push(...shown(await chunksOf(session, slices(input, start, cuts[turn + 1] ?? 0))));
    expect(got).toHaveLength(12);
    expect(got).toEqual(await expected(input));
  });

  test('equals it with live input in odd parts', async () => {
    await served.ready(model);
    const input = streamOf(model).signals(frame * 10, 4);
    await using session = served.session(model);
    const live = session.live();
    const chunks: Chunk[] = [];
    const reading = (async () => {
      for await (const chunk of live) chunks.push(chunk);
    })();
    for (
      let start = 0, size = 1;
      start < frame * 10;
      start += size, size = (size * 5 + 3) % (frame + 7) || 1
    )
      await live.write(slices(input, start, Math.min(frame * 10, start + size)));
    await live.end();
    await reading;
    expect(shown(chunks)).toEqual(await expected(input));
  });

  test('gives callers that come at once what each gets alone, in joint runs', async () => {
    expect((await served.ready(model)).batchClass).toBe('exact');
    const inputs = Array.from({ length: CALLERS }, (_, i) => streamOf(model).signals(frame * 6, i));
    const got: object[][] = inputs.map(() => []);
    const { turns, joint } = await served.crowd(model, inputs, (caller, chunks) =>
      got[caller]?.push(...shown(chunks)),
    );
    expect(joint).toBeGreaterThan(0);
    // Sessions go on from round to round.
    const rounds = turns / CALLERS;
    for (const [caller, input] of inputs.entries()) {
      const all = Object.entries(input).map(([name, one]) => [name, repeated(one, rounds)]);
      expect(got[caller]).toEqual(await expected(Object.fromEntries(all) as typeof input));
    }
  }, 60_000);
});
