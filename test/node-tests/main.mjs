// Serves node tests of Debian's libonnx-testdata with `cabstand serve` and no manifest. What ONNX Runtime
// runs alone is served with the same outputs, which are the test's within its tolerance; the rest is
// refused in one line each. Prints counts by reason; non-zero for a wrong answer, a hang, or a refusal of
// what ONNX Runtime runs.
//
// NODE_TESTS: how many, or `all` (default 200); NODE_TESTS_SEED: which (default 1); NODE_TESTS_ONLY: a
// regular expression of names; ONNX_TESTDATA: where they are.
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { chooseTests, listTests, readTest } from './cases.mjs';
import { EXACT, TOLERANCE, difference, runAlone } from './compare.mjs';
import { kindOf } from './reasons.mjs';
import { Served, placeOf } from './served.mjs';

const folder = process.env.ONNX_TESTDATA ?? '/usr/share/libonnx-testdata/data';
const seed = Number(process.env.NODE_TESTS_SEED ?? 1);
const only = new RegExp(process.env.NODE_TESTS_ONLY ?? '');
/** An engine is a process of some 80 MB. */
const TOGETHER = 25;
/** ONNX Runtime runs nine of ten alone. */
const FEWEST_SERVED = 0.8;

const all = listTests(folder);
const count = process.env.NODE_TESTS === 'all' ? all.length : Number(process.env.NODE_TESTS ?? 200);
const chosen = chooseTests(all, count, seed).filter((name) => only.test(name));
console.log(
  `${chosen.length} of ${all.length} tests in ${folder}: at equal distances in the sorted list, seed ${seed}`,
);

const scratch = mkdtempSync(path.join(tmpdir(), 'cabstand-node-tests-'));
const counts = new Map();
const failures = [];
/** Equal to ONNX Runtime alone within the tolerance, but not bit by bit. */
const rounded = [];
const tally = (kind) => counts.set(kind, (counts.get(kind) ?? 0) + 1);
const fail = (test, why) => {
  failures.push(`${test}: ${why}`);
  console.log(`FAIL ${test}: ${why}`);
};

try {
  for (let from = 0; from < chosen.length; from += TOGETHER)
    await serveSome(chosen.slice(from, from + TOGETHER), `${from / TOGETHER}`);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

console.log('\nHow many | what');
for (const [kind, many] of [...counts].sort(([, a], [, b]) => b - a))
  console.log(`${String(many).padStart(8)} | ${kind}`);
if (rounded.length > 0) console.log(`not bit by bit as alone: ${rounded.join(', ')}`);
const served = [...counts].reduce(
  (sum, [kind, many]) => sum + (kind.startsWith('served') ? many : 0),
  0,
);
// Where nothing is served, nothing is shown.
if (only.source === '(?:)' && served < FEWEST_SERVED * chosen.length)
  fail('all tests', `${served} of ${chosen.length} are served, expected ${FEWEST_SERVED} of them`);
console.log(`${chosen.length - failures.length} passed, ${failures.length} failed`);
process.exit(failures.length === 0 && chosen.length > 0 ? 0 : 1);

async function serveSome(tests, batch) {
  const repository = path.join(scratch, batch, 'models');
  const cases = [];
  for (const [index, test] of tests.entries()) {
    const one = await readTest(folder, test);
    const name = nameFor(test, index);
    const file = placeOf(repository, name);
    mkdirSync(path.dirname(file), { recursive: true });
    copyFileSync(one.file, file);
    cases.push({ ...one, name });
  }
  const served = await Served.start(repository, path.join(scratch, batch, 'data'));
  try {
    const models = await served.models(cases.map(({ name }) => name));
    if (models.size === 0) console.log(served.output);
    for (const one of cases) {
      const alone = await runAlone(one);
      await judge(one, alone, models.get(one.name), served);
    }
  } finally {
    await served.stop();
  }
}

/** Model names are 64 characters at most. */
function nameFor(test, index) {
  const name = path.basename(test).toLowerCase();
  return name.length <= 64 ? name : `${name.slice(0, 60)}-${index}`;
}

async function judge(one, alone, model, served) {
  const { test } = one;
  if (model === undefined) return fail(test, 'is not there');
  if (model.state === 'failed') {
    if (alone.outputs !== undefined) return fail(test, `refused: ${model.failure}`);
    if (!isOneLine(model.failure)) return fail(test, `refused in ${JSON.stringify(model.failure)}`);
    return tally(`refused: ${kindOf(model.failure)}`);
  }
  if (model.state !== 'ready') return fail(test, `hangs while ${model.state}`);
  const sendable = one.inputs.every(({ odd }) => odd === undefined);
  if (!sendable) return fail(test, 'is served, but nobody can send its inputs');
  let outputs;
  try {
    outputs = await served.call(
      model,
      one.inputs.map(({ tensor }) => tensor),
    );
  } catch (error) {
    if (alone.outputs !== undefined) return fail(test, `call: ${error.reason}: ${error.message}`);
    if (!isOneLine(error.message)) return fail(test, `call: ${JSON.stringify(error.message)}`);
    return tally(`each call refused: ${kindOf(error.message)}`);
  }
  if (alone.outputs === undefined) return fail(test, `is served, alone: ${alone.refused}`);
  return judgeOutputs(one, alone, outputs);
}

function judgeOutputs(one, alone, outputs) {
  const { test } = one;
  if (outputs.length !== alone.outputs.length)
    return fail(test, `${outputs.length} outputs, expected ${alone.outputs.length}`);
  const named = outputs.map((tensor, at) => ({ ...tensor, name: alone.outputs[at].name }));
  const worst = (expected, limits) =>
    named.flatMap((tensor, at) =>
      expected[at] === undefined ? [] : (difference(tensor, expected[at], limits) ?? []),
    )[0];
  const data = one.outputs.filter(({ odd }) => odd === undefined).map(({ tensor }) => tensor);
  if (alone.random) return tally('served: draws its numbers at random');
  const wrong = worst(alone.outputs, TOLERANCE);
  if (wrong !== undefined) return fail(test, `unlike ONNX Runtime alone: ${wrong}`);
  // The same kernel may round otherwise where its input lies elsewhere in memory.
  if (worst(alone.outputs, EXACT) !== undefined) rounded.push(test);
  // What ONNX Runtime alone answers otherwise than the test is not for a server to change.
  if (worst(data, TOLERANCE) !== undefined)
    return tally('served as ONNX Runtime runs it, which is not what the test has');
  return tally('served with the outputs that ONNX Runtime alone and the test have');
}

function isOneLine(text) {
  return text.trim() !== '' && !text.trim().includes('\n');
}
