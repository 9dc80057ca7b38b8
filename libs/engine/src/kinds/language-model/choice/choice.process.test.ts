import { arrayOf, numbersOf } from '@cabstand/tensor';
import type { Engine } from '../../../engine.fixture';
import type { SnapshotItem, TurnEnd } from '../../../frames/types';
import { decodeChunk } from '../../../verify/decode-chunk';
import { NAMES, greedyOf } from '../models.fixture';
import { ids, started } from '../served.fixture';

jest.setTimeout(120_000);

interface Told {
  readonly token: number;
  readonly text: string;
  readonly outputs: ReadonlyMap<string, readonly number[]>;
}

function recordsOf(engine: Engine, sequence: number): Told[] {
  return engine.chunks(sequence).map((chunk) => {
    const { outputs, text } = decodeChunk(chunk);
    const values = outputs.map(
      (one) =>
        [
          one.name,
          one.name.endsWith('logprobs') || one.name === 'logprob'
            ? Array.from(numbersOf(one), Number)
            : Array.from(arrayOf(one), Number),
        ] as const,
    );
    const found = new Map(values);
    return { token: found.get('token')?.[0] ?? -1, text, outputs: found };
  });
}

/** Runs turns one after another, each in a sequence of its own. */
class Asking {
  #next = 0;

  constructor(
    readonly engine: Engine,
    readonly prompt: readonly number[],
  ) {}

  async ask(parameters: object): Promise<{ records: Told[]; text: string; end: TurnEnd }> {
    const sequence = this.#next++;
    this.engine.open(sequence);
    this.engine.turn(sequence, [ids(this.prompt)], { parameters: { ...parameters } });
    const { end } = await this.engine.ended(sequence);
    const records = recordsOf(this.engine, sequence);
    return { records, text: records.map(({ text }) => text).join(''), end };
  }
}

const generationOf = (end: TurnEnd): object | undefined =>
  end.reason === 'error' ? undefined : end.generation;

test.each(NAMES)(
  '%s: an answer ends at its stops, wherever tokens end, and nothing of them is shown',
  async (name) => {
    await using engine = await started(name, { verify: false });
    const prompt = greedyOf(name)[3]?.prompt ?? [];
    const asking = new Asking(engine, prompt);
    const whole = await asking.ask({ max_tokens: 48 });
    expect(whole.text.length).toBeGreaterThan(8);
    for (const [from, to] of [
      [3, 4],
      [3, 7],
      [5, 13],
      [0, 2],
    ] as const) {
      const stop = whole.text.slice(from, to);
      const at = whole.text.indexOf(stop);
      const cut = await asking.ask({ max_tokens: 48, stop: ['never said', stop] });
      expect(cut.text).toBe(whole.text.slice(0, at));
      expect(generationOf(cut.end)).toMatchObject({ finish: 'stop', answer: cut.records.length });
      expect(cut.records.length).toBeLessThanOrEqual(whole.records.length);
      const kept = await asking.ask({ max_tokens: 48, stop, include_stop_str_in_output: true });
      expect(kept.text).toBe(whole.text.slice(0, at + stop.length));
      // What only begins like a stop is given in the end.
      const other = await asking.ask({ max_tokens: 48, stop: [`${stop}\u0001`, `${whole.text}!`] });
      expect(other.text).toBe(whole.text);
    }
  },
);

test.each(NAMES)('%s: tokens end an answer, or do not, as they are asked to', async (name) => {
  await using engine = await started(name, { verify: false });
  // It ends by a token of its model.
  const answers = greedyOf(name);
  const ending = answers.find(({ tokens }) => tokens.at(-1) === 2);
  if (ending === undefined) throw new Error('none ends by itself');
  const { tokens } = ending;
  const asking = new Asking(engine, ending.prompt);
  const usual = await asking.ask({ max_tokens: 60 });
  expect(usual.records.map(({ token }) => token)).toEqual(tokens);
  expect(generationOf(usual.end)).toEqual({
    ...{ finish: 'stop', prompt: ending.prompt.length, cached: 0, answer: tokens.length },
  });
  const ignoring = await asking.ask({ max_tokens: 60, ignore_eos: true });
  expect(ignoring.records.slice(0, tokens.length).map(({ token }) => token)).toEqual(tokens);
  expect(ignoring.records).toHaveLength(60);
  expect(ignoring.records[tokens.length - 1]?.text).toBe('');
  expect(generationOf(ignoring.end)).toMatchObject({ finish: 'length', answer: 60 });
  const longer = await asking.ask({ max_tokens: 60, min_tokens: tokens.length + 1 });
  expect(longer.records.length).toBeGreaterThan(tokens.length);
  // An ordinary token that is said to end it has no text unless that is asked for.
  const first = usual.records.findIndex(
    ({ text, token }, index) => index > 2 && text.trim() !== '' && tokens.indexOf(token) === index,
  );
  const stopper = tokens[first] ?? -1;
  const stopped = await asking.ask({ max_tokens: 60, stop_token_ids: [stopper] });
  expect(stopped.records.map(({ token }) => token)).toEqual(tokens.slice(0, first + 1));
  expect(generationOf(stopped.end)).toMatchObject({ finish: 'stop' });
  const included = await asking.ask({
    ...{ max_tokens: 60, stop_token_ids: [stopper], include_stop_str_in_output: true },
  });
  const textTo = (end: number): string =>
    usual.records
      .slice(0, end)
      .map(({ text }) => text)
      .join('');
  // What was half a character is given at the end, too.
  expect(stopped.text.replace(/\uFFFD+$/, '')).toBe(textTo(first));
  expect(included.text.startsWith(textTo(first + 1))).toBe(true);
});

test.each(NAMES)(
  '%s: log probabilities are told where they are asked for, and are those of the scores',
  async (name) => {
    await using engine = await started(name, { verify: false });
    const { prompt, tokens } = greedyOf(name)[4] ?? { prompt: [], tokens: [] };
    const asking = new Asking(engine, prompt);
    const plain = await asking.ask({ max_tokens: 5 });
    expect([...(plain.records[0]?.outputs.keys() ?? [])]).toEqual(['token']);
    const bare = await asking.ask({ max_tokens: 5, logprobs: 0 });
    expect([...(bare.records[0]?.outputs.keys() ?? [])]).toEqual(['token', 'logprob']);
    const told = await asking.ask({ max_tokens: 5, logprobs: 3, logit_bias: { '7': 100 } });
    const [record] = told.records;
    // A bias chooses another token; what is told of is what the model said.
    expect(record?.token).toBe(7);
    expect(record?.outputs.get('top_tokens')?.[0]).toBe(tokens[0]);
    const top = record?.outputs.get('top_logprobs') ?? [];
    expect(top).toHaveLength(3);
    expect([...top].sort((a, b) => b - a)).toEqual(top);
    expect(top.reduce((sum, one) => sum + Math.exp(one), 0)).toBeLessThanOrEqual(1 + 1e-6);
    expect(record?.outputs.get('logprob')?.[0]).toBeLessThan(top[2] ?? 0);
    expect(bare.records[0]?.outputs.get('logprob')?.[0]).toBeCloseTo(top[0] ?? NaN, 5);
  },
);

test('an answer with everything goes on in another engine as if nothing had happened', async () => {
  const first = await started('llama', { verify: false });
  await using second = await started('llama', { verify: false });
  const { prompt } = greedyOf('llama')[6] ?? { prompt: [] };
  const asked = {
    ...{ max_tokens: 60, temperature: 1.1, top_p: 0.95, min_p: 0.01, typical_p: 0.98, seed: 5 },
    ...{ repetition_penalty: 1.2, frequency_penalty: 0.4, presence_penalty: 0.3, min_tokens: 40 },
    ...{ no_repeat_ngram_size: 2, logit_bias: { '9': 3 }, logprobs: 2, stop: ['zzzz'] },
  };
  const whole = await new Asking(first, prompt).ask(asked);
  const tokens = whole.records.map(({ token }) => token);
  expect(tokens.length).toBeGreaterThanOrEqual(40);
  const runs = tokens.slice(1).map((token, index) => `${tokens[index]} ${token}`);
  expect(new Set(runs).size).toBe(runs.length);
  const cuts = [1, 13, 33];
  const restores: Buffer[] = [];
  for (const cut of cuts) {
    first.open(100 + cut, cut);
    first.turn(100 + cut, [ids(prompt)], { parameters: asked });
    await first.until(() => first.chunks(100 + cut).length === cut);
    first.send({ type: 'SNAPSHOT', sequence: 100 + cut });
    const find = (): SnapshotItem | undefined =>
      first.of(100 + cut).find((item): item is SnapshotItem => item.kind === 'snapshot');
    await first.until(() => find() !== undefined);
    restores.push(find()?.data ?? Buffer.alloc(0));
  }
  first.child.kill('SIGKILL');
  await first.exited;
  for (const [index, restore] of restores.entries()) {
    const cut = cuts[index] ?? 0;
    second.open(cut, 1e6, 1e12, { restore });
    second.turn(cut, [ids(prompt)], { parameters: asked, continued: true });
    expect(generationOf((await second.ended(cut)).end)).toEqual(generationOf(whole.end));
    const rest = recordsOf(second, cut);
    expect(rest.map(({ token, text }) => [token, text])).toEqual(
      whole.records.slice(cut).map(({ token, text }) => [token, text]),
    );
  }
  await first[Symbol.asyncDispose]();
});
