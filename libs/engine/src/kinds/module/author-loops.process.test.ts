/** Endless loops of authors, wherever a module has code of theirs run. Real engine processes; account.test.ts has more of them. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Engine } from '../../engine.fixture';

const root = mkdtempSync(path.join(tmpdir(), 'cabstand-loops-'));
afterAll(() => rmSync(root, { recursive: true }));

const GRACE_SECONDS = 0.3;
const SILENT_SECONDS = 1.2;

/** Session 1 runs what it is given, session 2 waits in a call. */
interface Loop {
  /** Of `startSession`. */
  readonly runs?: string;
  /** Further members of the class. */
  readonly members?: string;
  readonly survival?: 'replay' | 'commit';
  /** A command that session 1 is sent. */
  readonly command?: string;
}

function made(name: string, { runs = '', members = '', survival = 'replay' }: Loop): string {
  const folder = path.join(root, name.replaceAll(/\W+/g, '-'));
  mkdirSync(path.join(folder, '1'), { recursive: true });
  writeFileSync(
    path.join(folder, 'model.yaml'),
    `kind: module
survival: ${survival}
limits: { stop_grace_seconds: ${GRACE_SECONDS}, silent_seconds: ${SILENT_SECONDS} }
`,
  );
  writeFileSync(
    path.join(folder, '1/index.ts'),
    `const loop = (): any => { for (;;); };
    const schema = (validate: (value: unknown) => unknown): any => ({
      '~standard': { version: 1, vendor: 'test', validate },
    });
    export default class {
      static load() { return new this(); }
      static commands: any = {
        takes: { arguments: schema(loop), handle: () => null },
      };
      newState() { return {}; }
      async startSession(ctx: any) {
        if (ctx.prompt !== 'waits') { ${runs} }
        await ctx.idle();
      }
      ${members}
    }`,
  );
  return folder;
}

const LOOPS: readonly (readonly [string, Loop])[] = [
  ['what ctx.record is given', { runs: "await ctx.record('x', loop);" }],
  [
    'snapshot()',
    {
      runs: "await ctx.send('m', 1); await ctx.checkpoint();",
      members: 'snapshot() { loop(); }',
      survival: 'commit',
    },
  ],
  ['a schema', { command: 'takes' }],
  [
    'endSession() behind a call that nobody awaits',
    { runs: 'void ctx.idle(); await null; return;', members: 'endSession() { loop(); }' },
  ],
  ['a timer while all sessions wait', { runs: 'setTimeout(loop, 50);' }],
  ['a timer of a session that is over', { runs: 'setTimeout(loop, 50); return;' }],
];

test.each(LOOPS)('an endless loop in %s is given up', async (name, loop) => {
  await using engine = await Engine.start();
  expect(await engine.load(made(name, loop))).toMatchObject({ type: 'LOADED' });
  for (const [sequence, prompt] of [
    [1, ''],
    [2, 'waits'],
  ] as const) {
    engine.open(sequence, undefined, undefined, { snapshots: true });
    engine.turn(sequence, [], { prompt });
  }
  if (loop.command !== undefined)
    engine.send({
      ...{ type: 'COMMAND', sequence: 1, turn: 0, number: 0 },
      ...{ name: loop.command, arguments: '{}' },
    });
  await engine.until(() => engine.frames.at(-1)?.type === 'FAILED');
  expect(engine.frames.at(-1)).toMatchObject({ reason: 'ENGINE_STALLED' });
  expect(await engine.exited).toBe(87);
  // The hoster decides what becomes of both, as it does when an engine dies.
  expect(engine.items.filter(({ kind, sequence }) => kind === 'end' && sequence === 2)).toEqual([]);
});
