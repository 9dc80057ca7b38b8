// How far results are from each other, and what ONNX Runtime alone answers.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
process.env.ORT_DISABLE_TELEMETRY = '1';
const { InferenceSession, Tensor } = require('onnxruntime-node');
const { arrayOf, numbersOf, stringTensor, tensorOf } = require('@cabstand/tensor');

/** Those of onnx's own runner: numpy.testing.assert_allclose(rtol=1e-3, atol=1e-7). */
export const TOLERANCE = { rtol: 1e-3, atol: 1e-7 };
export const EXACT = { rtol: 0, atol: 0 };

/**
 * Where `got` is not `expected`, in words; undefined where it is. Floats within |a - b| <= atol + rtol |b|,
 * NaN is NaN; all else exactly.
 */
export function difference(got, expected, { rtol, atol }) {
  const [a, b] = [describe(got), describe(expected)];
  if (a !== b) return `${expected.name} is ${a}, expected ${b}`;
  const elements = got.strings ?? numbersOf(got);
  const wanted = expected.strings ?? numbersOf(expected);
  const floating = expected.dtype.startsWith('float');
  for (let at = 0; at < wanted.length; at += 1) {
    const [x, y] = [elements[at], wanted[at]];
    if (x === y || Object.is(x, y)) continue;
    if (floating && Math.abs(x - y) <= atol + rtol * Math.abs(y)) continue;
    return `${expected.name} [${at}] is ${x}, expected ${y}`;
  }
  return undefined;
}

function describe(tensor) {
  return tensor === undefined ? 'missing' : `${tensor.dtype} [${tensor.shape.join(', ')}]`;
}

/**
 * What ONNX Runtime answers to a test's inputs: `{ outputs }` by name, or `{ refused }` in its words. Outputs
 * that are no tensors are not asked for: its Node binding cannot give them.
 */
export async function runAlone({ file, inputs, outputs }) {
  const odd = inputs.find((input) => input.odd !== undefined);
  if (odd !== undefined) return { refused: `input ${odd.name} is ${odd.odd}` };
  const names = outputs.filter((output) => output.odd === undefined).map(({ name }) => name);
  if (names.length === 0) return { refused: `output ${outputs[0].name} is ${outputs[0].odd}` };
  let session;
  try {
    const options = { executionProviders: ['cpu'], logSeverityLevel: 4, intraOpNumThreads: 1 };
    session = await InferenceSession.create(file, options);
    const feeds = Object.fromEntries(inputs.map(({ name, tensor }) => [name, toOrt(tensor)]));
    const run = () => session.run(feeds, names, { logSeverityLevel: 4 });
    const [first, second] = [await run(), await run()].map((results) =>
      names.map((name) => fromOrt(name, results[name])),
    );
    const random =
      drawsNumbers(file) ||
      first.some((tensor, at) => difference(second[at], tensor, EXACT) !== undefined);
    return { outputs: first, random };
  } catch (error) {
    return { refused: error.message };
  } finally {
    await session?.release();
  }
}

/** Ten numbers that are 0 or 1 may be equal in two runs by chance: then the names of its operators tell. */
function drawsNumbers(file) {
  return /Bernoulli|Multinomial|Random(Normal|Uniform)/.test(readFileSync(file, 'latin1'));
}

function toOrt(tensor) {
  const elements = tensor.strings ?? arrayOf(tensor);
  return new Tensor(tensor.dtype, elements, tensor.shape);
}

function fromOrt(name, { type, dims, data }) {
  if (type === 'string') return stringTensor(name, data, [...dims]);
  return tensorOf(name, data, [...dims], type);
}
