/**
 * Preloaded into engines (NODE_OPTIONS, --require): from SIGUSR2 on runs of Silero VAD give zeros at once, so that what
 * is left is everything around ONNX Runtime. A model that loads is verified before that, with true answers.
 */
import path from 'node:path';

/** What is needed of onnxruntime-node, which is loaded in engines only: other processes must not pay for it. */
interface Ort {
  readonly InferenceSession: { create: (...args: unknown[]) => Promise<Session> };
  readonly Tensor: new (type: string, data: Float32Array, dims: readonly number[]) => unknown;
}
interface Session {
  run: (feeds: Feeds, fetches: unknown, options: unknown) => Promise<Results>;
}
type Feeds = Readonly<Record<'input' | 'state', { readonly dims: readonly number[] }>>;
type Results = Readonly<Record<string, unknown>>;

const ENGINE = path.join('engine', 'dist', 'process.js');

if (process.argv[1]?.endsWith(ENGINE) === true) {
  // As the engine itself would find it.
  const found = require.resolve('onnxruntime-node', { paths: [process.argv[1]] });
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  stub(require(found) as Ort);
}

function stub({ InferenceSession, Tensor }: Ort): void {
  let left = false;
  process.on('SIGUSR2', () => (left = true));
  const create = InferenceSession.create.bind(InferenceSession);
  InferenceSession.create = async (...args) => {
    const session = await create(...args);
    const run = session.run.bind(session);
    session.run = async (feeds, fetches, options) => {
      if (!left) return await run(feeds, fetches, options);
      const [rows = 1] = feeds.input.dims;
      return {
        output: new Tensor('float32', new Float32Array(rows), [rows, 1]),
        stateN: new Tensor('float32', new Float32Array(2 * rows * 128), [2, rows, 128]),
      };
    };
    return session;
  };
}
