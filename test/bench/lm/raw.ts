/**
 * The loop that everybody would write for a language model, in a process of its own: rows of equal length in one
 * buffer, prompts in parts of 64 tokens, then a token of each row in each run. Nothing is scheduled, sent or shared.
 */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { LAST_SCORES, freshName, tailOf } from '@cabstand/engine';
import { loadManifest } from '@cabstand/model';
import type { Provider } from '@cabstand/model';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { promptOf } from './prompts';

export interface RawLanguageRound {
  /** Folder of the model. */
  readonly folder: string;
  readonly provider: Provider;
  readonly rows: number;
  readonly prompt: number;
  readonly answer: number;
  readonly seconds: number;
}

type Loaded = Awaited<ReturnType<typeof load>>;

async function load(folder: string, provider: Provider) {
  const { languageModel: program, graphs } = await loadManifest(folder);
  const file = graphs[0]?.file ?? '';
  if (program === undefined) throw new Error(`${folder} is no language model`);
  const bytes = Buffer.concat([readFileSync(file), tailOf(program)]);
  const session = await InferenceSession.create(bytes, {
    executionProviders: [provider],
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
    extra: {
      session: {
        intra_op: { allow_spinning: '0' },
        model_external_initializers_file_folder_path: path.dirname(file),
      },
    },
  });
  return { program, session };
}

/** Fills `rows` rows with prompts, and answers; how many tokens were chosen. */
async function batch(
  { program, session }: Loaded,
  { rows, prompt, answer }: RawLanguageRound,
  number: number,
): Promise<number> {
  const { tensors } = program.cache;
  const capacity = Math.ceil((prompt + answer) / 64) * 64;
  const caches = tensors.map(({ heads, size }) => new Float32Array(rows * heads * capacity * size));
  const outputs = [LAST_SCORES, ...tensors.map(({ present }) => freshName(present))];
  const run = async (
    from: number,
    count: number,
    length: number,
    ids: readonly (readonly number[])[],
  ): Promise<number[]> => {
    const tokens = ids[0]?.length ?? 0;
    // Caches of a fixed size are as long as the mask says, others as long as they are: what is not in use is masked.
    const before = program.cache.kind === 'fixed' ? length : capacity;
    const width = before + tokens;
    const mask = new BigInt64Array(count * width);
    const positions = new BigInt64Array(count * tokens);
    for (let row = 0; row < count; row += 1) {
      mask.fill(1n, row * width, row * width + length);
      mask.fill(1n, row * width + before, (row + 1) * width);
      for (let at = 0; at < tokens; at += 1) positions[row * tokens + at] = BigInt(length + at);
    }
    const feeds: Record<string, Tensor> = {
      input_ids: new Tensor('int64', BigInt64Array.from(ids.flat(), BigInt), [count, tokens]),
      attention_mask: new Tensor('int64', mask, [count, width]),
    };
    if (program.takesPositions)
      feeds['position_ids'] = new Tensor('int64', positions, [count, tokens]);
    tensors.forEach(({ past, heads, size }, index) => {
      const row = heads * capacity * size;
      const view = caches[index]?.subarray(from * row, (from + count) * row) ?? [];
      feeds[past] = new Tensor('float32', view, [count, heads, capacity, size]);
    });
    const results = await session.run(feeds, outputs);
    tensors.forEach(({ present, heads, size }, index) => {
      const fresh = results[freshName(present)]?.data as Float32Array;
      for (let block = 0; block < count * heads; block += 1)
        caches[index]?.set(
          fresh.subarray(block * tokens * size, (block + 1) * tokens * size),
          ((from * heads + block) * capacity + length) * size,
        );
    });
    const scores = results[LAST_SCORES]?.data as Float32Array;
    const vocabulary = scores.length / count;
    return Array.from({ length: count }, (_, row) => {
      let best = row * vocabulary;
      for (let at = best; at < (row + 1) * vocabulary; at += 1)
        if ((scores[at] ?? 0) > (scores[best] ?? 0)) best = at;
      return best - row * vocabulary;
    });
  };
  const next: number[] = [];
  for (let row = 0; row < rows; row += 1) {
    const ids = promptOf(number * rows + row, prompt, program.vocabularySize);
    let chosen = 0;
    for (let at = 0; at < prompt; at += 64)
      [chosen = 0] = await run(row, 1, at, [ids.slice(at, at + 64)]);
    next.push(chosen);
  }
  for (let length = prompt; length < prompt + answer - 1; length += 1) {
    const chosen = await run(
      0,
      rows,
      length,
      next.map((id) => [id]),
    );
    next.splice(0, rows, ...chosen);
  }
  return rows * answer;
}

const loaded = new Map<string, Promise<Loaded>>();

async function round(job: RawLanguageRound): Promise<number> {
  const known = loaded.get(job.folder) ?? load(job.folder, job.provider);
  loaded.set(job.folder, known);
  const model = await known;
  const begun = performance.now();
  let tokens = 0;
  for (let number = 0; performance.now() - begun < job.seconds * 1000; number += 1)
    tokens += await batch(model, job, number);
  return (tokens * 1000) / (performance.now() - begun);
}

process.on('message', (job: RawLanguageRound) => {
  round(job).then(
    (rate) => process.send?.(rate),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
