/** Modules in real engine processes: what a process alone can show. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { float32Of } from '@cabstand/tensor';
import { Engine } from '../../engine.fixture';
import { decodeChunk } from '../../verify/decode-chunk';

const root = mkdtempSync(path.join(tmpdir(), 'cabstand-module-'));
afterAll(() => rmSync(root, { recursive: true }));

const MANIFEST = `
kind: module
outputs: { y: { dtype: float32, shape: [1] } }
limits: { stop_grace_seconds: 0.5, silent_seconds: 2.5 }
`;

/** A module whose session emits one record, then does this. @param first what it does before */
function made(name: string, then: string, first = ''): string {
  const folder = path.join(root, name);
  mkdirSync(path.join(folder, '1'), { recursive: true });
  writeFileSync(path.join(folder, 'model.yaml'), MANIFEST);
  writeFileSync(
    path.join(folder, '1/index.ts'),
    `export default class {
      static load(env: any) { return new this(env); }
      constructor(private readonly env: any) {}
      newState() { return {}; }
      unload() { console.info('goodbye'); }
      async startSession(ctx: any) {
        ${first}
        await ctx.emit({ y: new this.env.Tensor('float32', Float32Array.of(1), [1]) });
        ${then}
      }
    }`,
  );
  return folder;
}

async function running(folder: string): Promise<Engine> {
  const engine = await Engine.start();
  const loaded = await engine.load(folder);
  expect(loaded).toMatchObject({
    type: 'LOADED',
    module: { commands: [], stateVersion: 0 },
    outputs: [{ name: 'y', dtype: 'float32', shape: [1] }],
  });
  engine.open(1);
  engine.turn(1, []);
  return engine;
}

const emitted = (engine: Engine): Promise<void> => engine.until(() => engine.items.length === 1);

const stats = (engine: Engine): number =>
  engine.frames.filter(({ type }) => type === 'STATS').length;

const stages = (engine: Engine): string[] =>
  engine.frames.flatMap((frame) => (frame.type === 'PROGRESS' ? [frame.stage] : []));

test('an endless loop that ignores its stop: heartbeats go on, and the process exits once the grace is over', async () => {
  await using engine = await running(made('deaf', 'for (;;);'));
  await emitted(engine);
  const before = stats(engine);
  const begun = performance.now();
  engine.send({ type: 'STOP', sequence: 1, reason: 'cancelled', graceMs: 2500 });
  await engine.until(() => engine.frames.at(-1)?.type === 'FAILED');
  const took = performance.now() - begun;
  expect(took).toBeGreaterThan(2500);
  // A second for the thread to answer, and the machine may be busy.
  expect(took).toBeLessThan(8000);
  expect(stats(engine) - before).toBeGreaterThanOrEqual(2);
  expect(engine.frames.at(-1)).toMatchObject({ reason: 'ENGINE_STALLED' });
  expect(await engine.exited).toBe(87);
  // No end of the turn: the hoster decides, as it does when an engine dies.
  expect(engine.items.map(({ kind }) => kind)).toEqual(['record']);
});

test('an endless loop that asks whether to stop ends at once, with the stop’s reason', async () => {
  await using engine = await running(made('polite', 'for (;;) if (ctx.shouldStop()) return;'));
  await emitted(engine);
  const begun = performance.now();
  engine.send({ type: 'STOP', sequence: 1, reason: 'evicted', graceMs: 60_000 });
  expect((await engine.ended(1)).end).toEqual({ reason: 'evicted', steps: 1 });
  expect(performance.now() - begun).toBeLessThan(5000);
});

test('an endless loop before the first call is named in STATS as silent, and ends the engine', async () => {
  await using engine = await running(made('mute', '', 'for (;;);'));
  await engine.until(() => engine.frames.at(-1)?.type === 'FAILED');
  const silent = engine.frames.flatMap((frame) =>
    frame.type === 'STATS' ? (frame.silent ?? []) : [],
  );
  expect(silent.map(({ sequence }) => sequence)).toContain(1);
  for (const { ms } of silent) expect(ms).toBeGreaterThan(1000);
  expect(await engine.exited).toBe(87);
});

test('SHUTDOWN stops sessions, unloads the module and exits in order', async () => {
  await using engine = await running(made('waiting', 'await ctx.idle();'));
  await emitted(engine);
  engine.send({ type: 'SHUTDOWN' });
  expect(await engine.exited).toBe(0);
  expect((await engine.ended(1)).end).toEqual({ reason: 'evicted', steps: 1 });
  expect(engine.frames).toContainEqual({ type: 'LOG', level: 'info', message: 'goodbye' });
});

test('large records that wait for their reader keep what they said', async () => {
  const folder = made(
    'large',
    `for (let i = 0; i < 60; i += 1) {
    const data = new Float32Array(75_000 + 100 * i).fill(i);
    await ctx.emit({ large: new this.env.Tensor('float32', data, [data.length]) });
  }`,
  );
  const manifest = MANIFEST.replace('shape: [1] }', '$&, large: { dtype: float32, shape: [n] }');
  writeFileSync(path.join(folder, 'model.yaml'), manifest);
  await using engine = await Engine.start();
  await engine.load(folder);
  // None of them fits into the socket: the process has to keep what is left.
  engine.open(1);
  engine.turn(1, []);
  expect((await engine.ended(1)).end).toEqual({ reason: 'completed', steps: 61 });
  const said = engine.items.flatMap((item) =>
    item.kind === 'record' ? decodeChunk(item.body).outputs.map(float32Of) : [],
  );
  expect(said.slice(1).map((values) => [values.length, ...new Set(values)])).toEqual(
    Array.from({ length: 60 }, (_, i) => [75_000 + 100 * i, i]),
  );
});

/** How a load fails, and what the log of its hoster has. */
async function failing(name: string, source: string): Promise<{ message: string; log: string }> {
  const folder = made(name, '');
  writeFileSync(path.join(folder, '1/index.ts'), source);
  await using engine = await Engine.start();
  const failed = await engine.load(folder);
  expect(failed).toMatchObject({ type: 'FAILED', reason: 'MODULE_FAILED' });
  expect(await engine.exited).toBe(1);
  const log = engine.frames.flatMap((frame) => (frame.type === 'LOG' ? [frame.message] : []));
  return { message: 'message' in failed ? failed.message : '', log: log.join('\n') };
}

test('a module without a default export is told what to write', async () => {
  const { message } = await failing('broken', 'export default 7;');
  expect(message).toMatch(/index\.ts has no default export with a static load/);
});

test('a load that throws names the file and the line, and the log has the calls of the author alone', async () => {
  const { message, log } = await failing(
    'thrower',
    `console.warn('about to fail');
    const read = () => { throw new Error(\`no \${__dirname}/weights.bin, no /srv/other/file\`); };
    export default class { static load() { read(); } }`,
  );
  expect(message).toMatch(/^index\.ts:2:\d+: .*load threw Error: no weights\.bin, no <path>$/);
  expect(message).not.toContain(root);
  expect(log).toContain('about to fail');
  expect(log).toMatch(/thrower\/1\/index\.ts:2:\d+/);
  expect(log).not.toContain('kinds/module/');
});

test.each([
  ['syntax', 'export default class {\n  load( }', /^index\.ts:2:\d+: .*cannot be loaded/],
  ['absent', "import './other';", /Cannot find module '\.\/other'.*brings what it imports/],
  ['package', "import 'no-such-package';", /no-such-package.*node_modules beside/],
])('a file that cannot be read, %s, is named with what to do', async (name, source, expected) => {
  const { message } = await failing(name, source);
  expect(message).toMatch(expected);
  expect(message).not.toContain(root);
});

test.each([
  ['waits', 'await new Promise((resolve) => setTimeout(resolve, 60_000))', 0, null],
  ['computes', 'for (;;);', null, 'SIGKILL'],
])('SHUTDOWN while a load %s ends the engine soon', async (name, loads, code, killed) => {
  const folder = made(`load-${name}`, '', '');
  const file = path.join(folder, '1/index.ts');
  const source = readFileSync(file, 'utf8');
  writeFileSync(
    file,
    source
      .replace('return new', `env.progress('so far'); ${loads}; return new`)
      .replace('static load', 'static async load'),
  );
  await using engine = await Engine.start();
  void engine.load(folder);
  await engine.until(() => stages(engine).includes('so far'));
  const begun = performance.now();
  engine.send({ type: 'SHUTDOWN' });
  expect(await engine.exited).toBe(code);
  expect(engine.child.signalCode).toBe(killed);
  expect(performance.now() - begun).toBeLessThan(10_000);
  expect(engine.frames.map(({ type }) => type)).not.toContain('FAILED');
});
