/**
 * The loop that everybody would write for a model with a state, on whichever provider: rows in, run, rows out, the state
 * where the runs leave it. In a process of its own.
 */
import { createSession } from '@cabstand/engine';
import type { CallBy } from '@cabstand/engine';
import type { Provider } from '@cabstand/model';
import { Tensor } from 'onnxruntime-node';
import type { RawModel } from '../raw-loop';

export interface RawGpuRound {
  readonly model: RawModel;
  readonly provider: Provider;
  readonly runtime: CallBy;
  readonly rows: number;
  readonly seconds: number;
}

export interface RawGpuFigures {
  readonly calledBy: string;
  /** Rows a second. */
  readonly rate: number;
}

const sessions = new Map<string, ReturnType<typeof createSession>>();

async function round({
  model,
  provider,
  runtime,
  rows,
  seconds,
}: RawGpuRound): Promise<RawGpuFigures> {
  const { file, frame, carry, state, constants } = model;
  const key = `${provider} ${runtime} ${file}`;
  const opening = sessions.get(key) ?? createSession(file, { provider, runtime, threads: 1 });
  sessions.set(key, opening);
  const session = await opening;
  const width = frame + carry;
  const signals = Array.from({ length: rows }, (_, row) =>
    Float32Array.from({ length: frame * 64 }, (_, i) => 0.1 * Math.sin(i * (0.01 + row * 0.003))),
  );
  const input = new Float32Array(rows * width);
  const { memory } = session;
  const shape = { dtype: 'float32', shape: state.shape, batchAxis: state.axis } as const;
  const bound = { ...shape, name: '', initial: 0, scope: 'session', bytes: 0 } as const;
  const dims = state.shape.map((size, axis) => (axis === state.axis ? rows : size));
  const count = dims.reduce((product, size) => product * size, 1);
  const batches = memory && [0, 1].map(() => memory.batch(bound, rows));
  for (let row = 0; row < rows; row += 1)
    if (memory !== undefined) batches?.[0]?.writeRow(row, memory.row(bound));
  const states = batches?.map(({ tensor }) => tensor) ?? [
    new Tensor('float32', new Float32Array(count), dims),
    new Tensor('float32', new Float32Array(count), dims),
  ];
  const feeds: Record<string, Tensor> = {
    [model.input]: new Tensor('float32', input, [rows, width]),
  };
  for (const [name, value] of Object.entries(constants))
    feeds[name] = new Tensor('int64', BigInt64Array.of(BigInt(value)), []);
  const step = async (n: number): Promise<void> => {
    for (let row = 0; row < rows; row += 1) {
      const at = row * width;
      if (carry > 0) input.copyWithin(at, at + frame, at + width);
      const start = (n % 64) * frame;
      input.set(signals[row]?.subarray(start, start + frame) ?? [], at + carry);
    }
    feeds[state.input] = states[n & 1] as Tensor;
    const outputs = await session.run(feeds, {
      [model.output]: null,
      [state.output]: states[(n + 1) & 1] as Tensor,
    });
    const data = outputs[model.output]?.data as Float32Array;
    const size = data.length / rows;
    for (let row = 0; row < rows; row += 1) Buffer.from(data.slice(row * size, (row + 1) * size));
  };
  let steps = 0;
  for (; steps < 20; steps += 1) await step(steps);
  const begun = performance.now();
  const from = steps;
  while (performance.now() - begun < seconds * 1000) await step(steps++);
  const rate = ((steps - from) * rows * 1000) / (performance.now() - begun);
  for (const batch of batches ?? []) batch.release();
  return { calledBy: session.calledBy, rate };
}

process.on('message', (job: RawGpuRound) => {
  round(job).then(
    (figures) => process.send?.(figures),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
