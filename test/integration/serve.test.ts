import { execFile } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { Child, REPOSITORY_ROOT, freePortRange, onnxModel, until } from '@cabstand/testing';
import { descendants, isAlive } from '../support/processes';

const run = promisify(execFile);
const CLI = path.join(REPOSITORY_ROOT, 'libs/cli/dist/main.js');

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'cabstand-serve-'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Rows of three numbers, each through the same two layers. */
const net = onnxModel({
  inputs: [{ name: 'x', dtype: 'float32', dims: ['n', 3] }],
  outputs: [{ name: 'y', dtype: 'float32', dims: ['n', 2] }],
  initializers: [{ name: 'w', dtype: 'float32', shape: [3, 2], values: [1, -2, 0.5, 3, 2, 0.25] }],
  nodes: [
    { op: 'MatMul', inputs: ['x', 'w'], outputs: ['h'] },
    { op: 'Tanh', inputs: ['h'], outputs: ['y'] },
  ],
});

const file = (name: string, content: string | Uint8Array): string => {
  const full = path.join(folder, name);
  mkdirSync(path.dirname(full), { recursive: true });
  writeFileSync(full, content);
  return full;
};

const data = (): string => path.join(folder, 'data');

function serve(...args: string[]): Child {
  return new Child('serve', [CLI, 'serve', ...args, '--data', data()]);
}

async function served(child: Child): Promise<string> {
  await until('the subnet', () => child.output.includes('Ctrl-C stops it') || undefined, {
    timeoutMs: 60_000,
    explain: () => child.output,
  });
  const [, router] = /router\s+is up at (\S+)/.exec(child.output) ?? [];
  return router ?? '';
}

/** Runs the command against a router; answers its results. */
async function cabstand(router: string, ...args: string[]): Promise<string> {
  const keys = path.join(data(), 'keys');
  const command = [CLI, ...args, '--router', router, '--credentials', keys];
  return (await run(process.execPath, command)).stdout;
}

/** Runs the printed TypeScript within the README's program; answers what it says. */
async function printedProgram({ output }: Child, router: string): Promise<string> {
  const [, line = ''] = /^ +(.*session\.runProtocolTask\(.*)$/m.exec(output) ?? [];
  const readme = readFileSync(path.join(REPOSITORY_ROOT, 'README.md'), 'utf8');
  const [, program = ''] = /^```ts\n([^]*?)^```$/m.exec(readme) ?? [];
  const code = program
    .replace(/^const session = [^]*^await session.close\(\);$/m, line)
    .replaceAll('.cabstand/keys/', path.join(data(), 'keys/'))
    .replace('127.0.0.1:50050', router);
  expect(code).toContain(line);
  symlinkSync(path.join(REPOSITORY_ROOT, 'node_modules'), path.join(folder, 'node_modules'));
  return (await run(process.execPath, [file('printed.mjs', code)])).stdout;
}

interface Answer {
  readonly outputs: Readonly<Record<string, { readonly data: number[]; readonly shape: number[] }>>;
}

test('from a file to the first served result by one command, equal to ONNX Runtime’s', async () => {
  const x = [0.5, -1, 2, 0.125, 3, -0.25];
  const input = file('x.json', JSON.stringify({ dtype: 'float32', shape: [2, 3], data: x }));
  const begun = performance.now();
  const child = serve(file('My Net.onnx', net));
  try {
    const router = await served(child);
    const infer = ['infer', '--model', 'my-net', '--json'];
    const example = await cabstand(router, ...infer, '--example');
    const seconds = (performance.now() - begun) / 1000;
    process.stderr.write(`from model.onnx to the first result: ${seconds.toFixed(1)} s\n`);
    expect(JSON.parse(example.split('\n')[0] ?? '')).toMatchObject({
      outputs: { y: { dtype: 'float32', shape: [1, 2] } },
    });

    const output = await cabstand(router, ...infer, '--tensor', `x=${input}`);
    const { outputs } = JSON.parse(output.split('\n')[0] ?? '') as Answer;
    const session = await InferenceSession.create(net);
    const direct = await session.run({ x: new Tensor('float32', Float32Array.from(x), [2, 3]) });
    expect(outputs['y']?.shape).toEqual([2, 2]);
    expect(outputs['y']?.data).toEqual(Array.from((await direct['y']?.getData()) as Float32Array));

    expect(await printedProgram(child, router)).toMatch(/name: 'y'/);

    await expect(cabstand(router, 'infer', '--model', 'my-net')).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/x +float32 \[n, 3\][^]*--tensor x=x\.npy/) as string,
    });
    // The user's own folder stays as it was.
    expect(readFileSync(path.join(folder, 'My Net.onnx')).equals(net)).toBe(true);
  } finally {
    const family = descendants(child.pid);
    child.kill('SIGINT');
    expect(await child.exited).toEqual({ code: 0, signal: null });
    expect(family.filter(isAlive)).toEqual([]);
  }
}, 60_000);

test('the README’s section on one’s own model works as written', async () => {
  const readme = readFileSync(path.join(REPOSITORY_ROOT, 'README.md'), 'utf8');
  const [, section = ''] = /^## A model of your own in a minute$([^]*?)^## /m.exec(readme) ?? [];
  const commands = [...section.matchAll(/^npx cabstand (.+?)\s+#/gm)].map(([, c]) => c!.split(' '));
  expect(commands.map(([name]) => name)).toEqual(['serve', 'infer', 'model', 'model']);
  const own = path.dirname(file('own/model.onnx', net));
  const [[, model] = [], ...others] = commands;
  const child = serve(path.join(own, model ?? ''));
  try {
    const env = {
      ...process.env,
      CABSTAND_ROUTERS: await served(child),
      CABSTAND_CREDENTIALS: path.join(data(), 'keys'),
    };
    const said: string[] = [];
    for (const command of others)
      said.push((await run(process.execPath, [CLI, ...command], { cwd: own, env })).stdout);
    expect(said[0]).toMatch(/y float32 \[1, 2\]/);
    expect(said[1]).toContain('models/mine/model.yaml says what the graph says');
    expect(said[2]).toMatch(/^ok {4}mine: v1, stateless, .+, reference self/);
  } finally {
    child.kill('SIGINT');
    await child.exited;
  }
}, 60_000);

test('a repository as Triton has it is served without a manifest, beside another subnet', async () => {
  file('triton/Ranker/1/model.onnx', net);
  file('triton/Ranker/config.pbtxt', 'backend: "onnxruntime"');
  file('triton/broken/1/model.onnx', 'no graph');
  // Whoever has the usual port is left alone.
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve() : reject(error),
    );
    server.listen(50050, '127.0.0.1', resolve);
  });
  const child = serve(path.join(folder, 'triton'));
  const second = serve(path.join(folder, 'triton/Ranker'), '--no-auth');
  try {
    const routers = [await served(child), await served(second)];
    expect(new Set([...routers, '127.0.0.1:50050']).size).toBe(3);
    expect(child.output).toMatch(/cannot serve broken: .*broken\/1\/model\.onnx/);
    expect(await cabstand(routers[0]!, 'infer', '--model', 'ranker', '--example')).toMatch(
      /y float32 \[1, 2\]/,
    );
    expect(readdirSync(path.join(folder, 'triton/Ranker')).sort()).toEqual(['1', 'config.pbtxt']);
  } finally {
    server.close();
    for (const one of [child, second]) one.kill('SIGINT');
    for (const one of [child, second]) expect(await one.exited).toEqual({ code: 0, signal: null });
  }
}, 60_000);

test('of several files those are served that can be; the others are named as they were given', async () => {
  // A graph as far as anybody can read it, which ONNX Runtime refuses.
  const bad = onnxModel({
    inputs: [{ name: 'x', dtype: 'float32', dims: ['n'] }],
    outputs: [{ name: 'y', dtype: 'float32', dims: ['n'] }],
    nodes: [{ op: 'NoSuchOperator', inputs: ['x'], outputs: ['y'] }],
  });
  file('several/good.onnx', net);
  const child = serve(path.dirname(file('several/bad.onnx', bad)));
  try {
    await served(child);
    expect(child.output).toMatch(/serves good at/);
    expect(child.output).toContain(`cannot serve bad: ${path.join(folder, 'several/bad.onnx')}`);
  } finally {
    child.kill('SIGINT');
    expect(await child.exited).toEqual({ code: 0, signal: null });
  }
}, 60_000);

test('what cannot be served ends with 1 and the reason, naming the file as it was given', async () => {
  const child = serve(file('text.onnx', 'this is no graph'));
  expect(await child.exited).toEqual({ code: 1, signal: null });
  expect(child.output).toContain('no model can be served');
  expect(child.output).toContain(path.join(folder, 'text.onnx'));
});

test('ports that were asked for and are taken are refused, with who has them', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const admin = await freePortRange(2);
  const child = serve(
    ...[file('net.onnx', net), '--port', String(port), '--admin-port', String(admin)],
  );
  expect(await child.exited).toEqual({ code: 2, signal: null });
  expect(child.output).toContain(`${port} for router`);
  server.close();
});
