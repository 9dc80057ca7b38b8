import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ParameterSpec } from '@cabstand/model';
import { float32Of, tensorOf } from '@cabstand/tensor';
import type { DType } from '@cabstand/tensor';
import { decodeFrame } from '../../frames/codec';
import { PREFIX } from '../../frames/layout';
import type { FromEngine, LoadedFrame, StepItem } from '../../frames/types';
import { RecordField } from '../../frames/module-frames';
import type { RuntimeHost } from '../../runtime/runtime';
import { decodeChunk } from '../../verify/decode-chunk';
import { ModuleRuntime } from './module-runtime';
import type { ModuleOptions } from './module-runtime';

const folder = mkdtempSync(path.join(tmpdir(), 'cabstand-module-'));
afterAll(() => rmSync(folder, { recursive: true }));

const loaded: Omit<LoadedFrame, 'loadSeconds'> = {
  type: 'LOADED',
  provider: 'cpu',
  batchClass: 'exact',
  maxBatch: 1,
  runtime: 'test',
  goldenError: 0,
  reference: 'none',
  unbatchedBecause: '',
  notes: [],
  stateBytesPerSequence: 0,
  verifySeconds: 0,
  outputs: [],
};

/** Main's side: keeps what came, and wakes whoever waits for it. */
class Main implements RuntimeHost {
  readonly sent: FromEngine[] = [];
  readonly items: StepItem[] = [];
  #waiting: (() => void)[] = [];

  send(frame: FromEngine): void {
    this.sent.push(frame);
    this.#wake();
  }

  write(bytes: Buffer): boolean {
    const frame = decodeFrame(bytes[PREFIX - 1] ?? 0, bytes.subarray(PREFIX));
    if (frame.type === 'STEP') this.items.push(...frame.items);
    this.#wake();
    return true;
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  drained(): Promise<void> {
    return Promise.resolve();
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  get values(): number[] {
    return this.items.flatMap((item) => {
      if (item.kind !== 'record' || item.field !== RecordField.chunk) return [];
      const [output] = decodeChunk(item.body).outputs;
      return output === undefined ? [] : [...float32Of(output)];
    });
  }

  get ends(): StepItem[] {
    return this.items.filter(({ kind }) => kind === 'end');
  }
}

/** Ends a test whose runtime has failed, unless the test itself has waited for that. */
async function failing(running: Promise<void>): Promise<never> {
  await running.catch(async (error: unknown) => {
    await new Promise((resolve) => setTimeout(resolve, 100));
    throw error;
  });
  return await new Promise(() => undefined);
}

async function served<T>(
  source: string,
  use: (runtime: ModuleRuntime, main: Main, running: Promise<void>) => Promise<T>,
  options: Partial<ModuleOptions> = {},
): Promise<T> {
  const file = path.join(folder, `${String(Math.random()).slice(2)}.ts`);
  writeFileSync(file, source);
  const main = new Main();
  const runtime = await ModuleRuntime.load(
    {
      thread: {
        file,
        folder,
        config: {},
        provider: 'cpu',
        threads: 1,
        messageBytes: 1 << 20,
        parameters: [
          parameter('most', 'float64', 2 ** 24),
          parameter('bad', 'bool', false),
          parameter('stuck', 'bool', false),
        ],
        outputs: [{ name: 'y', dtype: 'float32', shape: [1] }],
        survival: 'none',
        replayCheck: 'exact',
        messages: {},
        limits: {
          commandsWaiting: 64,
          messageBytes: 65_536,
          recordValueBytes: 65_536,
          commandBytes: 65_536,
          resultBytes: 65_536,
          uncommittedRecords: 64,
          uncommittedBytes: 1 << 22,
          stateBytes: 1 << 24,
        },
        digest: 'sha256:test',
      },
      maxSequences: 4,
      exclusive: false,
      stopGraceSeconds: 5,
      silentSeconds: 30,
      heapMb: 512,
      loaded,
      ...options,
    },
    main,
    new AbortController().signal,
  );
  const stop = new AbortController();
  const running = runtime.run(stop.signal);
  try {
    return await Promise.race([use(runtime, main, running), failing(running)]);
  } finally {
    stop.abort();
    await running.catch(() => runtime.unload());
  }
}

const COUNTER = `
export default class Counter {
  static load(env: { Tensor: new (type: string, data: Float32Array, dims: number[]) => unknown }) {
    return new Counter(env.Tensor);
  }
  constructor(private readonly Tensor: new (type: string, data: Float32Array, dims: number[]) => unknown) {}
  newState() { return { count: 0 }; }
  async startSession(ctx: any) {
    while (!ctx.shouldStop() && ctx.state.count < (ctx.parameters.most))
      await ctx.emit({ y: new this.Tensor('float32', Float32Array.of(ctx.state.count++), [1]) });
  }
}`;

function parameter(name: string, dtype: DType, value: number | boolean): ParameterSpec {
  const free = { oneOf: undefined, minimum: undefined, maximum: undefined };
  return { name, dtype, shape: [], default: value, ...free, description: '' };
}

const turn = (sequence: number, parameters = {}, live = false) =>
  ({ type: 'TURN', sequence, turn: 0, prompt: '', parameters, inputs: [], live }) as const;
const open = (sequence: number) => ({ type: 'OPEN', sequence, priority: 0 }) as const;
const credit = (sequence: number, records: number) =>
  ({ type: 'CREDITS', credits: [{ sequence, records, bytes: 1e9 }] }) as const;

test('a module in TypeScript emits what it likes, as far as its credit goes, and ends', async () => {
  await served(COUNTER, async (runtime, main) => {
    runtime.handle(open(1));
    runtime.handle(credit(1, 3));
    runtime.handle(turn(1, { most: 5 }));
    await main.until(() => main.values.length === 3);
    runtime.handle(credit(1, 10));
    await main.until(() => main.ends.length === 1);
    expect(main.values).toEqual([0, 1, 2, 3, 4]);
    expect(main.ends).toMatchObject([{ sequence: 1, end: { reason: 'completed', steps: 5 } }]);
  });
});

test('parameters have the defaults of model.yaml, in the session’s state too, and others are refused', async () => {
  const source = COUNTER.replace('{ count: 0 }', '{ count: parameters.most - 1 }').replace(
    'newState()',
    'newState(parameters: any)',
  );
  await served(source, async (runtime, main) => {
    const credits = [1, 2].map((sequence) => ({ sequence, records: 10, bytes: 1e9 }));
    for (const sequence of [1, 2]) runtime.handle(open(sequence));
    runtime.handle({ type: 'CREDITS', credits });
    runtime.handle(turn(1));
    await main.until(() => main.ends.length === 1);
    expect(main.values).toEqual([2 ** 24 - 1]);
    runtime.handle(turn(2, { mots: 3 }));
    await main.until(() => main.ends.length === 2);
    expect(main.ends[1]).toMatchObject({
      sequence: 2,
      end: { reason: 'error', error: { reason: 'PARAMETER_INVALID' } },
    });
  });
});

test('a loop that never yields sees a stop, and the next session finds nothing of the last', async () => {
  const source = COUNTER.replace(
    /(await ctx.emit.*;)/,
    '{ $1 for (;;) if (ctx.shouldStop()) return; }',
  );
  await served(source, async (runtime, main) => {
    for (const sequence of [1, 2]) {
      runtime.handle(open(sequence));
      runtime.handle(credit(sequence, 10));
      runtime.handle(turn(sequence));
      await main.until(() => main.values.length === sequence);
      runtime.handle({ type: 'CANCEL', sequence, turn: 0 });
      await main.until(() => main.ends.length === sequence);
      runtime.handle({ type: 'CLOSE', sequence });
    }
    expect(main.values).toEqual([0, 0]);
    expect(main.ends).toMatchObject([
      { sequence: 1, end: { reason: 'cancelled', steps: 1 } },
      { sequence: 2, end: { reason: 'cancelled', steps: 1 } },
    ]);
  });
});

test('live parts are pulled one by one and told as taken', async () => {
  const source = COUNTER.replace(/while[^;]*;/, '').replace(
    'async startSession(ctx: any) {',
    `async startSession(ctx: any) {
      for (let part; (part = await ctx.input()) !== undefined; ) await ctx.emit({ y: part.x });`,
  );
  await served(source, async (runtime, main) => {
    runtime.handle(open(1));
    runtime.handle(credit(1, 100));
    runtime.handle(turn(1, {}, true));
    for (const part of [0, 1, 2]) {
      const inputs = part === 2 ? [] : [tensorOf('x', Float32Array.of(part + 7))];
      runtime.handle({ type: 'INPUT', sequence: 1, turn: 0, part, inputs, last: part === 2 });
    }
    await main.until(() => main.ends.length === 1);
    expect(main.values).toEqual([7, 8]);
    const inputs = main.items.filter(
      (item) => item.kind === 'record' && item.field === RecordField.input,
    );
    expect(inputs).toHaveLength(3);
  });
});

test('what an author throws ends its session only, and shows no path', async () => {
  const source = COUNTER.replace(
    'async startSession(ctx: any) {',
    `async startSession(ctx: any) {
    if (ctx.parameters.bad) throw new Error('no /srv/models/secret/weights.bin here');`,
  );
  await served(source, async (runtime, main) => {
    for (const sequence of [1, 2]) {
      runtime.handle(open(sequence));
      runtime.handle(credit(sequence, 100));
      runtime.handle(turn(sequence, { bad: sequence === 1, most: 1 }));
    }
    await main.until(() => main.ends.length === 2);
    expect(main.ends).toMatchObject([
      {
        end: {
          reason: 'error',
          error: { reason: 'MODULE_FAILED', message: 'Error: no <path> here' },
        },
      },
      { end: { reason: 'completed', steps: 1 } },
    ]);
  });
});

/** An author who awaits something that never comes once his first frame is out. */
const STUCK = COUNTER.replace(/(await ctx.emit.*;)/, '{ $1 await new Promise(() => {}); }');

test('code that outlives its grace is left alone, its neighbours go on, and the engine is replaced when it is idle', async () => {
  const source = STUCK.replace('await new Promise(() => {})', 'if (ctx.parameters.stuck) $&');
  await served(source, async (runtime, main, running) => {
    for (const sequence of [1, 2]) {
      runtime.handle(open(sequence));
      runtime.handle(credit(sequence, 10));
      runtime.handle(turn(sequence, { stuck: sequence === 1 }));
    }
    await main.until(() => main.values.length === 11);
    runtime.handle({ type: 'STOP', sequence: 1, reason: 'timed_out', graceMs: 100 });
    await main.until(() => main.ends.length === 1 && main.sent.at(-1)?.type === 'LOG');
    expect(main.ends).toMatchObject([{ sequence: 1, end: { reason: 'timed_out', steps: 1 } }]);
    expect(main.sent).toContainEqual({
      ...{ type: 'LOG', level: 'warn', sequence: 1, stray: true },
      message: expect.stringMatching(/past the grace of a stop/) as string,
    });
    runtime.handle({ type: 'CLOSE', sequence: 1 });
    runtime.handle(credit(2, 5));
    await main.until(() => main.values.length === 16);
    runtime.handle({ type: 'STOP', sequence: 2, reason: 'stopped', graceMs: 5000 });
    await main.until(() => main.ends.length === 2);
    expect(main.ends[1]).toMatchObject({ sequence: 2, end: { reason: 'stopped' } });
    runtime.handle({ type: 'CLOSE', sequence: 2 });
    await expect(running).rejects.toMatchObject({
      reason: 'ENGINE_STALLED',
      message: expect.stringMatching(/1 sessions are over, and their code goes on/) as string,
    });
  });
});

test('an author who is silent is told of, then stopped as timed out', async () => {
  const source = STUCK.replace(
    'await new Promise(() => {})',
    'while (!ctx.signal.aborted) await new Promise((resolve) => setTimeout(resolve, 10))',
  );
  await served(
    source,
    async (runtime, main) => {
      runtime.handle(open(1));
      runtime.handle(credit(1, 10));
      runtime.handle(turn(1));
      await main.until(() => main.ends.length === 1);
      expect(main.ends).toMatchObject([{ end: { reason: 'timed_out', steps: 1 } }]);
      expect(main.sent).toContainEqual({
        ...{ type: 'LOG', level: 'warn', sequence: 1 },
        message: expect.stringMatching(/no sign of life from the module for \d/) as string,
      });
    },
    { silentSeconds: 0.5 },
  );
});

test('an author who waits for credit or input is not silent', async () => {
  await served(
    COUNTER,
    async (runtime, main) => {
      runtime.handle(open(1));
      runtime.handle(credit(1, 1));
      runtime.handle(turn(1, { most: 2 }));
      await main.until(() => main.values.length === 1);
      for (let looks = 0; looks < 8; looks += 1) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        expect(runtime.stats.silent).toBeUndefined();
      }
      runtime.handle(credit(1, 10));
      await main.until(() => main.ends.length === 1);
      expect(main.ends).toMatchObject([{ end: { reason: 'completed', steps: 2 } }]);
    },
    { silentSeconds: 0.3 },
  );
});

test('before the thread ends its sessions are told to, and the module is unloaded', async () => {
  const source = COUNTER.replace(
    'newState()',
    "unload() { console.info('goodbye'); }\n  newState()",
  );
  const main = await served(source, async (runtime, main) => {
    runtime.handle(open(1));
    runtime.handle(credit(1, 3));
    runtime.handle(turn(1));
    await main.until(() => main.values.length === 3);
    expect(await runtime.unload()).toBe(true);
    return main;
  });
  expect(main.ends).toMatchObject([{ end: { reason: 'evicted', steps: 3 } }]);
  expect(main.sent.at(-1)).toMatchObject({ type: 'LOG', message: 'goodbye' });
});

test('a thread without heap ends the engine, and says which limit it was', async () => {
  const source = COUNTER.replace(
    'async startSession(ctx: any) {',
    'async startSession(ctx: any) { let all: unknown; for (;;) all = { all };',
  );
  await served(
    source,
    async (runtime, _main, running) => {
      runtime.handle(open(1));
      runtime.handle(turn(1));
      await expect(running).rejects.toMatchObject({
        reason: 'ENGINE_CRASHED',
        message: expect.stringMatching(/limits.heap_mb allows, 64 MiB/) as string,
      });
    },
    { heapMb: 64 },
  );
});

test.each([
  ['does not parse', 'export default class {', /cannot be loaded/],
  ['has no class', 'export default 7', /no default export with a static load/],
  [
    'throws in load',
    'export default class { static load() { throw new Error("no luck"); } }',
    /no luck/,
  ],
])('a file that %s is refused', async (_, source, message) => {
  await expect(served(source, () => Promise.resolve())).rejects.toMatchObject({
    reason: 'MODULE_FAILED',
    message: expect.stringMatching(message) as unknown,
  });
});
