import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { Child, REPOSITORY_ROOT, freePortRange, onnxModel } from '@cabstand/testing';

const run = promisify(execFile);
const CLI = path.join(REPOSITORY_ROOT, 'libs/cli/dist/main.js');

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'cabstand-models-'));
  const net = (op: string): Buffer =>
    onnxModel({
      inputs: [{ name: 'x', dtype: 'float32', dims: ['n', 2] }],
      outputs: [{ name: 'y', dtype: 'float32', dims: ['n', 2] }],
      nodes: [{ op, inputs: ['x'], outputs: ['y'] }],
    });
  writeFileSync(path.join(folder, 'net.onnx'), net('Neg'));
  writeFileSync(path.join(folder, 'other.onnx'), net('Abs'));
  writeFileSync(path.join(folder, 'x.json'), '[[1, 2]]');
  writeFileSync(path.join(folder, 'right.json'), '[[-1, -2]]');
  writeFileSync(path.join(folder, 'wrong.json'), '[[-1, 2]]');
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Ran {
  readonly code: number;
  readonly stdout: string;
}

/** Runs the command in the folder, whatever its exit code. */
async function cabstand(...args: string[]): Promise<Ran> {
  try {
    const { stdout } = await run(process.execPath, [CLI, ...args], { cwd: folder });
    return { code: 0, stdout };
  } catch (error) {
    const { code, stdout } = error as Ran;
    return { code, stdout };
  }
}

test('a model is added, given golden data and checked; what is wrong is found everywhere alike', async () => {
  expect(await cabstand('model', 'add', 'net.onnx')).toMatchObject({ code: 0 });
  const golden = ['model', 'golden', 'net', '--input', 'x=x.json', '--output'];
  expect(await cabstand(...golden, 'y=right.json')).toMatchObject({ code: 0 });
  // What it answers itself is as right, and comes from a process of its own.
  expect(await cabstand(...golden.slice(0, -1))).toMatchObject({
    ...{ code: 0, stdout: expect.stringContaining('1 record (computed)') as string },
  });
  expect(await cabstand('model', 'check', 'models')).toMatchObject({
    ...{ code: 0, stdout: expect.stringContaining('reference golden') as string },
  });

  // A slip in the name must not put a working model out of service.
  const slip = await cabstand('model', 'add', 'other.onnx', '--name', 'net');
  expect(slip).toMatchObject({
    ...{ code: 1, stdout: expect.stringContaining('version 1 of net stays the newest') as string },
  });
  expect(existsSync(path.join(folder, 'models', 'net', '2'))).toBe(false);
  // Nor may --force.
  const forced = await cabstand('model', 'add', 'other.onnx', '--name', 'net', '--force', '--json');
  expect(forced.code).toBe(1);
  expect(JSON.parse(forced.stdout)).toMatchObject({ version: '1', before: '1', placed: false });
  expect(await cabstand('model', 'check', 'models')).toMatchObject({ code: 0 });

  expect(await cabstand(...golden, 'y=wrong.json')).toMatchObject({ code: 0 });
  const reason = 'sequence 2, record 0, output y[0, 1]: got -2, golden data says 2';
  const checked = await cabstand('model', 'check', 'models', '--json');
  expect(checked.code).toBe(1);
  expect(JSON.parse(checked.stdout)).toMatchObject({
    ...{ ok: false, name: 'net', reason: 'VERIFICATION_FAILED' },
    problems: [expect.stringContaining(reason) as string],
  });
  const doctor = await cabstand('doctor', '--models', 'models');
  expect(doctor.code).toBe(1);
  expect(doctor.stdout).toContain(reason);

  // A hoster says the same; the subnet ends instead of waiting for a model that never comes.
  // Of the router, the hoster and the gateway.
  const ports = [
    '--port',
    `${await freePortRange(3)}`,
    '--admin-port',
    `${await freePortRange(3)}`,
  ];
  const up = new Child('up', [
    ...[CLI, 'up', '--models', path.join(folder, 'models'), '--hosters', '1'],
    ...['--data', path.join(folder, 'data'), ...ports],
  ]);
  expect(await up.exited).toEqual({ code: 1, signal: null });
  expect(up.output).toContain('no model can be served');
  expect(up.output).toContain(reason);

  // Each says its remedy; sessions and inputs stay, and all answers are those of the new weights.
  expect(JSON.parse(checked.stdout)).toMatchObject({
    advice: expect.stringContaining('`cabstand model golden net --renew`') as string,
  });
  expect(slip.stdout).toContain('--renew-golden');
  const retrained = ['model', 'add', 'other.onnx', '--name', 'net', '--renew-golden'];
  expect(await cabstand(...retrained)).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('3 records computed anew; 3 changed, most at') as string,
  });
}, 60_000);
