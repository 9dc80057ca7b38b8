/** A real engine with a language model of the tests. */
import { arrayOf, tensorOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { Engine } from '../../engine.fixture';
import type { LanguageFigures } from '../../frames/language-frames';
import type { LoadFrame, SnapshotItem } from '../../frames/types';
import { decodeChunk } from '../../verify/decode-chunk';
import { ROUNDED_NAMES, folderOf, greedyOf } from './models.fixture';
import type { ExactName, Greedy, Name } from './models.fixture';

export const ids = (prompt: readonly number[]): Tensor =>
  tensorOf('input_ids', BigInt64Array.from(prompt, BigInt), [prompt.length]);

/** Ids of the tokens of a sequence. @param turn default: of all its turns */
export const tokensOf = (engine: Engine, sequence: number, turn?: number): number[] =>
  engine.of(sequence).flatMap((item) => {
    if (item.kind !== 'chunk' || (turn !== undefined && item.turn !== turn)) return [];
    const [output] = decodeChunk(item.chunk).outputs;
    return output === undefined ? [] : Array.from(arrayOf(output), Number);
  });

export const textOf = (engine: Engine, sequence: number): string =>
  engine
    .chunks(sequence)
    .map((chunk) => decodeChunk(chunk).text)
    .join('');

/** An engine that serves a model, which is verified before unless the options say otherwise. */
export const started = (name: Name, options: Partial<LoadFrame> = {}): Promise<Engine> =>
  startedFrom(folderOf(name), options);

export async function startedFrom(
  folder: string,
  options: Partial<LoadFrame> = {},
): Promise<Engine> {
  const engine = await Engine.start();
  const loaded = await engine.load(folder, { verify: true, ...options });
  if (loaded.type === 'FAILED') throw new Error(loaded.message);
  return engine;
}

/** Runs a turn for so many records, and answers a snapshot of it there. */
export async function snapshotAfter(
  engine: Engine,
  sequence: number,
  records: number,
  prompt: readonly number[],
  parameters: Record<string, unknown>,
): Promise<Buffer> {
  engine.open(sequence, records);
  engine.turn(sequence, [ids(prompt)], { parameters });
  await engine.until(() => engine.chunks(sequence).length === records);
  engine.send({ type: 'SNAPSHOT', sequence });
  const find = (): SnapshotItem | undefined =>
    engine.of(sequence).find((item): item is SnapshotItem => item.kind === 'snapshot');
  await engine.until(() => find() !== undefined);
  return find()?.data ?? Buffer.alloc(0);
}

/** What a model answers where it is asked one thing after another. */
export async function answersOf(name: Name): Promise<readonly Greedy[]> {
  if (isExact(name)) return greedyOf(name);
  await using engine = await started(name);
  const answers: Greedy[] = [];
  for (const [sequence, { prompt }] of greedyOf('gpt2').entries()) {
    engine.open(sequence);
    engine.turn(sequence, [ids(prompt)], { parameters: { max_tokens: 48, logprobs: 2 } });
    await engine.ended(sequence);
    const margins = engine.chunks(sequence).map(marginOf);
    answers.push({ prompt, tokens: tokensOf(engine, sequence), margins });
    engine.send({ type: 'CLOSE', sequence });
  }
  return answers;
}

function marginOf(chunk: Buffer): number {
  const top = decodeChunk(chunk).outputs.find(({ name }) => name === 'top_logprobs');
  const [first = NaN, second = NaN] = top === undefined ? [] : Array.from(arrayOf(top), Number);
  return first - second;
}

const isExact = (name: Name): name is ExactName =>
  !ROUNDED_NAMES.some((rounded) => rounded === name);

/** What the engine told of its work, so far and with its next report. */
export async function figuresOf(engine: Engine): Promise<LanguageFigures> {
  const told = (): LanguageFigures[] =>
    engine.frames.flatMap((frame) =>
      frame.type === 'STATS' && frame.language !== undefined ? [frame.language] : [],
    );
  const before = told().length;
  await engine.until(() => told().length > before + 1);
  const all = told();
  const last = all.at(-1);
  if (last === undefined) throw new Error('nothing told');
  return {
    ...last,
    queueSeconds: all.flatMap(({ queueSeconds }) => queueSeconds),
    firstTokenSeconds: all.flatMap(({ firstTokenSeconds }) => firstTokenSeconds),
    tokenSeconds: all.flatMap(({ tokenSeconds }) => tokenSeconds),
  };
}

/** Bytes of the cache of so many tokens. */
export const bytesOf = (name: Name, tokens: number): number => tokens * TOKEN_BYTES[name];

const TOKEN_BYTES: Readonly<Record<Name, number>> = {
  gpt2: 2 * 2 * 4 * 12 * 4,
  llama: 3 * 2 * 2 * 12 * 4,
  'llama-gqa': 3 * 2 * 2 * 16 * 4,
  'llama-int4': 3 * 2 * 2 * 16 * 4,
  'llama-f16': 3 * 2 * 2 * 12 * 2,
  'gpt2-int8': 2 * 2 * 4 * 12 * 4,
};
