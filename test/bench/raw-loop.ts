/**
 * The loop everybody would write: ONNX Runtime called directly, with the same gather of inputs into a
 * batch and the same scatter of outputs that serving needs, and nothing else. Runs in a process of
 * its own; the parent sends rounds and gets rows per second.
 */
import { InferenceSession, Tensor } from 'onnxruntime-node';

/** What a model's loop needs to know; one carried float32 state, one float32 output per row. */
export interface RawModel {
  readonly file: string;
  readonly input: string;
  /** Samples of a frame, and how many earlier ones are put in front. */
  readonly frame: number;
  readonly carry: number;
  readonly state: {
    readonly input: string;
    readonly output: string;
    readonly shape: readonly number[];
    readonly axis: number;
  };
  readonly output: string;
  readonly constants: Readonly<Record<string, number>>;
}

export interface RawRound {
  readonly model: RawModel;
  readonly batch: number;
  readonly seconds: number;
}

const sessions = new Map<string, Promise<InferenceSession>>();

function load(file: string): Promise<InferenceSession> {
  const known = sessions.get(file);
  if (known !== undefined) return known;
  const session = InferenceSession.create(file, {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  });
  sessions.set(file, session);
  return session;
}

export interface RawFigures {
  /** Rows a second. */
  readonly rate: number;
  /** Processor time of a row, in microseconds. */
  readonly cpuMicros: number;
}

async function rawRound({ model, batch, seconds }: RawRound): Promise<RawFigures> {
  const session = await load(model.file);
  const { frame, carry, state } = model;
  const width = frame + carry;
  const stateShape = state.shape.map((size, axis) => (axis === state.axis ? batch : size));
  const stateSize = stateShape.reduce((a, b) => a * b, 1);
  const rows = Array.from({ length: batch }, (_, row) =>
    Float32Array.from({ length: frame * 64 }, (_, i) => 0.1 * Math.sin(i * (0.01 + row * 0.003))),
  );
  const input = new Float32Array(batch * width);
  const inputTensor = new Tensor('float32', input, [batch, width]);
  const states = [0, 1].map(() => new Tensor('float32', new Float32Array(stateSize), stateShape));
  const constants = Object.fromEntries(
    Object.entries(model.constants).map(([name, value]) => [
      name,
      new Tensor('int64', BigInt64Array.of(BigInt(value)), []),
    ]),
  );
  const records: Uint8Array[] = [];

  const step = async (n: number): Promise<void> => {
    for (let row = 0; row < batch; row++) {
      const at = row * width;
      if (carry > 0) input.copyWithin(at, at + frame, at + width);
      const start = (n % 64) * frame;
      input.set((rows[row] as Float32Array).subarray(start, start + frame), at + carry);
    }
    const outputs = await session.run(
      { [model.input]: inputTensor, [state.input]: states[n & 1] as Tensor, ...constants },
      { [model.output]: null, [state.output]: states[(n + 1) & 1] as Tensor },
    );
    const data = outputs[model.output]?.data as Float32Array;
    const size = data.length / batch;
    records.length = 0;
    for (let row = 0; row < batch; row++) {
      const part = data.subarray(row * size, (row + 1) * size);
      records.push(Buffer.from(part.buffer, part.byteOffset, part.byteLength));
    }
  };

  for (let n = 0; n < 20; n++) await step(n);
  const start = performance.now();
  const cpu = process.cpuUsage();
  let steps = 0;
  while (performance.now() - start < seconds * 1000) await step(steps++);
  const { user, system } = process.cpuUsage(cpu);
  const done = steps * batch;
  return { rate: (done * 1000) / (performance.now() - start), cpuMicros: (user + system) / done };
}

if (process.send !== undefined) {
  process.on('message', (round: RawRound) => {
    rawRound(round).then(
      (figures) => process.send?.(figures),
      (error: unknown) => process.send?.({ error: String(error) }),
    );
  });
  process.on('disconnect', () => process.exit(0));
}
