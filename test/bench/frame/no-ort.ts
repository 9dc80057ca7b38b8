/**
 * Preloaded into engines (NODE_OPTIONS, --require): from SIGUSR2 on runs of Silero VAD give zeros at once, so that what
 * is left is everything around ONNX Runtime. A model that loads is verified before that, with true answers.
 */
import path from 'node:path';

type Run = (feeds: Feeds, fetches: Fetches) => Promise<Results>;
interface Tensor {
  readonly data: Float32Array;
}
type Feeds = Readonly<Record<'input' | 'state', { readonly dims: readonly number[] }>>;
type Fetches = readonly string[] | Readonly<Record<string, Tensor | null>>;
type Results = Readonly<Record<string, Tensor>>;
type MakeTensor = new (type: string, data: Float32Array, dims: readonly number[]) => Tensor;

const ENGINE = path.join('engine', 'dist', 'process.js');
/** Both ways to call ONNX Runtime, in the engine's own folder. */
const SESSIONS = [
  ['native/native-session.js', 'NativeSession'],
  ['graphs/binding-session.js', 'BindingSession'],
] as const;

if (process.argv[1]?.endsWith(ENGINE) === true) stub(process.argv[1]);

/** Other processes than engines must not pay for what is loaded here. */
function stub(engine: string): void {
  let left = false;
  process.on('SIGUSR2', () => (left = true));
  // As the engine itself would find it.
  const found = require.resolve('onnxruntime-node', { paths: [engine] });
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const { Tensor } = require(found) as { readonly Tensor: MakeTensor };
  for (const [file, name] of SESSIONS) {
    // eslint-disable-next-line @typescript-eslint/no-require-imports
    const loaded = require(path.join(path.dirname(engine), file)) as Readonly<
      Record<string, { readonly prototype: { run: Run } } | undefined>
    >;
    const prototype = loaded[name]?.prototype;
    if (prototype === undefined) throw new Error(`${file} has no ${name}`);
    const { run } = prototype;
    prototype.run = function (feeds, fetches) {
      return left ? Promise.resolve(zeros(feeds, fetches, Tensor)) : run.call(this, feeds, fetches);
    };
  }
}

function zeros(feeds: Feeds, fetches: Fetches, Tensor: MakeTensor): Results {
  const [rows = 1] = feeds.input.dims;
  const made: Results = {
    output: new Tensor('float32', new Float32Array(rows), [rows, 1]),
    stateN: new Tensor('float32', new Float32Array(2 * rows * 128), [2, rows, 128]),
  };
  if (Array.isArray(fetches)) return made;
  const given = Object.entries(fetches as Readonly<Record<string, Tensor | null>>);
  return Object.fromEntries(
    given.map(([name, tensor]) => {
      tensor?.data.fill(0);
      return [name, tensor ?? (made[name] as Tensor)];
    }),
  );
}
