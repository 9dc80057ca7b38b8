/** Answers of many sequences at once, which join and leave at random, are those of each alone. */
import type { Engine } from '../../engine.fixture';
import { ALL_NAMES } from './models.fixture';
import type { Greedy } from './models.fixture';
import { answersOf, bytesOf, figuresOf, ids, started, tokensOf } from './served.fixture';

jest.setTimeout(120_000);

/** Numbers from 0 to below `most`, the same ones for the same seed. */
function draws(seed: number): (most: number) => number {
  let state = seed;
  return (most) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * most);
  };
}

/**
 * Logarithms of two probabilities that differ by less may change places where sums are rounded in another order, as
 * kernels for few bits do for one row and for several on some processors; from there on a text is another one.
 */
const ALMOST_EQUAL = 0.01;

/** Runs so many turns, 16 at a time, each with an answer that is cut at a random place or cancelled. */
async function runMany(engine: Engine, answers: readonly Greedy[], turns: number): Promise<void> {
  const draw = draws(20);
  // Those of other classes answer alike in every bit.
  const mayPart = engine.frames.some(
    (frame) => frame.type === 'LOADED' && frame.batchClass === 'tolerance',
  );
  const one = async (sequence: number): Promise<void> => {
    const answer = answers[draw(answers.length)] ?? { prompt: [], tokens: [] };
    const { prompt, tokens } = answer;
    const max_tokens = 1 + draw(48);
    const gone = draw(4) === 0 ? 1 + draw(max_tokens) : Infinity;
    engine.open(sequence, 1e6, 1e12, { owner: `owner ${draw(3)}` });
    engine.turn(sequence, [ids(prompt)], { parameters: { max_tokens } });
    if (gone < Infinity) {
      await engine.until(
        () =>
          engine.chunks(sequence).length >= Math.min(gone, tokens.length, max_tokens) ||
          engine.of(sequence).some(({ kind }) => kind === 'end'),
      );
      engine.send({ type: 'CANCEL', sequence, turn: 0 });
    }
    const { end } = await engine.ended(sequence);
    const got = tokensOf(engine, sequence);
    const whole = tokens.slice(0, max_tokens);
    const parted = got.findIndex((token, at) => token !== whole[at]);
    if (mayPart && parted >= 0) expect(answer.margins?.[parted]).toBeLessThan(ALMOST_EQUAL);
    else if (end.reason === 'cancelled') expect(got).toEqual(whole.slice(0, got.length));
    else {
      expect(end.reason).toBe('completed');
      expect(got).toEqual(whole);
    }
    engine.send({ type: 'CLOSE', sequence });
  };
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < turns) await one(next++);
  };
  await Promise.all(Array.from({ length: 16 }, lane));
}

test.each(ALL_NAMES)(
  '%s: sequences that join and leave at random answer as alone',
  async (name) => {
    await using engine = await started(name);
    await runMany(engine, await answersOf(name), 60);
    // What is rounded by a scale of all that is computed at once would depend on the others.
    if (name === 'gpt2-int8') expect(Math.max(...engine.batches)).toBe(1);
    else expect(Math.max(...engine.batches)).toBeGreaterThan(8);
  },
);

test.each(ALL_NAMES)(
  '%s: where memory is short, rows are given up and computed again',
  async (name) => {
    await using engine = await started(name, { maxStateBytes: bytesOf(name, 1024) });
    await runMany(engine, await answersOf(name), 40);
    const { queueSeconds, firstTokenSeconds, generatedTokens } = await figuresOf(engine);
    expect(queueSeconds).toHaveLength(40);
    expect(firstTokenSeconds).toHaveLength(40);
    expect(generatedTokens).toBeGreaterThan(40);
  },
);
