import { Modules } from './module.fixture';
import type { ModuleText } from './module.fixture';
import type { Finding, ModuleTestReport } from './report';
import { testModule } from './test-module';

// Processes are started one after another, and the machine may be busy.
jest.setTimeout(60_000);

const modules = new Modules();
afterAll(() => modules.remove());

const run = (name: string, text: ModuleText): Promise<ModuleTestReport> =>
  testModule(modules.make(name, text), { seconds: 2 });

const failures = ({ findings }: ModuleTestReport): readonly Finding[] =>
  findings.filter(({ outcome }) => outcome === 'failed');

interface TalkText {
  readonly before?: string;
  readonly after?: string;
  /** Of a frame. */
  readonly value: string;
}

/** Six frames a turn; the first of them is made in line 11. */
const talk = ({ before = '', after = '', value }: TalkText): string => `
export default class Talk {
  constructor(readonly env: any) {}
  static load(env: any): Talk { return new Talk(env); }
  newState(): any { return { turns: 0, n: 0 }; }
  async startSession(ctx: any): Promise<void> {
    ${before}
    do {
      for (; ctx.state.n < 6 && !ctx.shouldStop(); ctx.state.n += 1) {
        await ctx.checkpoint();
        await ctx.emit({ y: new this.env.Tensor('float32', [${value} + ctx.state.n], [1]) });
      }
      ctx.state.turns += 1;
      ctx.state.n = 0;
      ${after}
    } while ((await ctx.nextTurn()) !== undefined);
  }
}
`;

const EMIT = 'await ctx.emit(this.one(ctx.state.n));';

test.each<[string, ModuleText, string[]]>([
  [
    'replay',
    {
      round: 'await ctx.emit(this.one(ctx.random() + (await ctx.record("at", () => Date.now()))));',
      commands: 'go: { handle: (ctx: any) => { ctx.state.n += 1; return ctx.state.n; } }',
    },
    ['load', 'session', 'commands', 'state', 'stop', 'replay', 'leftovers'],
  ],
  [
    'commit',
    { survival: 'commit', round: EMIT },
    ['load', 'session', 'state', 'stop', 'commit', 'leftovers'],
  ],
])('a module of survival %s that keeps its promise passes', async (name, text, checks) => {
  const report = await run(`good-${name}`, text);
  expect(failures(report)).toEqual([]);
  expect(report).toMatchObject({ ok: true, name: `good-${name}`, version: '1', survival: name });
  const passed = report.findings.filter(({ outcome }) => outcome === 'passed');
  expect(report.findings.map(({ check }) => check)).toEqual(checks);
  expect(passed.map(({ check }) => check)).toEqual(checks);
});

test.each<[string, ModuleText, string, RegExp, RegExp]>([
  [
    'chance',
    { round: 'await ctx.emit(this.one(Math.random()));' },
    'replay',
    /second run is not the same: record 0 .*output y float32 \[1\], element 0: 0\.\d+ the first time/,
    /Math\.random\(\) in index\.ts:16: use ctx\.random\(\)/,
  ],
  [
    'local',
    { round: 'local += 1; await ctx.emit(this.one(local));' },
    'replay',
    /goes on from the checkpoint after record \d+ is not the same/,
    /let local in index\.ts:11: use ctx\.state/,
  ],
  [
    'leftovers',
    { survival: 'none', round: 'this.#count += 1; await ctx.emit(this.one(this.#count));' },
    'leftovers',
    /among others is not the same as alone: record 0: output y .*: 1 the first time, \d+ the second/,
    /this\.#count in index\.ts:16: use ctx\.state/,
  ],
  [
    'frozen',
    { round: `this.count += 1; ${EMIT}` },
    'session',
    /index\.ts:16:\d+: TypeError: Cannot assign to read only property 'count'/,
    /keep what belongs to one session in ctx\.state/,
  ],
  [
    'deaf',
    { round: `${EMIT} for (;;);` },
    'stop',
    /a stop is ignored: .*stop_grace_seconds, 1 s/,
    /ctx\.shouldStop\(\)/,
  ],
  [
    'dtype',
    { round: 'await ctx.emit({ y: new this.env.Tensor("int32", [1], [1]) });' },
    'session',
    /index\.ts:16:\d+: emit: output y: got "int32 \[1\]", expected a tensor float32 \[1\]/,
    /outputs/,
  ],
  [
    'command-throws',
    {
      round: `${EMIT} await ctx.idle(5);`,
      commands: 'go: { handle: () => { throw new Error("not today"); } }',
    },
    'commands',
    /go \{\} failed: index\.ts:3:\d+: Error: not today/,
    /CommandError/,
  ],
  [
    'schema',
    { round: EMIT, commands: 'go: { arguments: { type: "objekt" }, handle: () => 1 }' },
    'load',
    /command go: arguments is no schema that can be used: .*objekt/,
    /JSON Schema/,
  ],
  [
    'throws',
    {
      file: 'export default class A {\n  static load() {\n    throw new Error("no weights");\n  }\n}\n',
    },
    'load',
    /^index\.ts:3:\d+: .*load threw Error: no weights$/,
    /^$/,
  ],
  [
    'syntax',
    { file: 'export default class A {\n  static load() {\n    return new A(;\n  }\n}\n' },
    'load',
    /^index\.ts:3:\d+: .*Unexpected token$/,
    /^$/,
  ],
])('a module that breaks a rule is told: %s', async (name, text, check, summary, advice) => {
  const report = await run(name, text);
  expect(report.ok).toBe(false);
  const found = failures(report).filter((finding) => finding.check === check);
  expect(found).toHaveLength(1);
  expect(failures(report)).toHaveLength(1);
  expect(found[0]?.summary).toMatch(summary);
  expect(found[0]?.advice ?? '').toMatch(advice);
});

test.each(['none', 'replay', 'commit'] as const)(
  'a module of survival %s that takes several turns is tried with several',
  async (survival) => {
    const file = talk({ value: '10 * ctx.state.turns' });
    const report = await run(`talk-${survival}`, { survival, file });
    expect(failures(report)).toEqual([]);
    const turns = report.findings.filter(({ check }) => check === 'turns');
    expect(turns).toMatchObject([{ outcome: 'passed' }]);
    expect(turns[0]?.summary).toMatch(/^3 turns, 12 records in the later ones/);
  },
);

const LOCAL = { before: 'let heard = 0;', after: 'heard += 1;', value: '10 * heard' };
const CARRIED = /let heard in index\.ts:7: use ctx\.state .*ctx\.nextTurn\(\) is a checkpoint/;

test.each<[string, ModuleText, RegExp, RegExp]>([
  [
    'local',
    { file: talk(LOCAL) },
    /turn 1: .*from the checkpoint at its beginning .*record 0 .*: 10 the first time, 0 the second/,
    CARRIED,
  ],
  [
    'committed',
    { survival: 'commit', file: talk(LOCAL) },
    /turn 1: .*from its beginning .*record 0.*: 10 the first time, 0 the second/,
    CARRIED,
  ],
  [
    'chance',
    { file: talk({ value: '(ctx.turn === 1 ? Math.random() : 0)' }) },
    /turn 1: .*record 0/,
    /Math\.random\(\) in index\.ts:11: use ctx\.random\(\)/,
  ],
  [
    'throws',
    { survival: 'none', file: talk({ value: '(ctx.turn === 1 ? ctx.words.length : 0)' }) },
    /turn 1: after 0 records: index\.ts:11:\d+: TypeError/,
    /^$/,
  ],
])(
  'a module that is wrong in its second turn alone is told: %s',
  async (name, text, summary, advice) => {
    const report = await run(`second-${name}`, text);
    expect(failures(report)).toMatchObject([{ check: 'turns' }]);
    expect(failures(report)[0]?.summary).toMatch(summary);
    expect(failures(report)[0]?.advice ?? '').toMatch(advice);
  },
);

test('a module of which nothing can be compared is not blamed for it', async () => {
  const report = await run('free', {
    survival: 'commit',
    round: 'await ctx.emit(this.one(Math.random()));',
  });
  expect(report.ok).toBe(true);
  expect(report.findings.filter(({ outcome }) => outcome === 'open')).toMatchObject([
    { check: 'leftovers', summary: expect.stringContaining('differ by themselves') as string },
  ]);
});
