import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkModel } from './check';
import { Engine, SHARED } from './engine.fixture';

jest.setTimeout(60_000);

/** Empty home and temporary folders, as processes that are started from here see them. */
class EmptyFolders {
  readonly root = mkdtempSync(join(tmpdir(), 'cabstand-quiet-'));
  readonly environment: NodeJS.ProcessEnv;

  constructor() {
    const home = join(this.root, 'home');
    const temporary = join(this.root, 'tmp');
    for (const folder of [home, temporary]) mkdirSync(folder);
    // Not what these tests run with: each process has to see to it by itself.
    const { ORT_DISABLE_TELEMETRY: _, XDG_CACHE_HOME: __, ...rest } = process.env;
    this.environment = { ...rest, HOME: home, TMPDIR: temporary };
  }

  files(): string[] {
    return readdirSync(this.root, { recursive: true, encoding: 'utf8' }).sort();
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}

const EMPTY = ['home', 'tmp'];

test('an engine writes nothing outside its model, and sends nothing', async () => {
  using folders = new EmptyFolders();
  await using engine = await Engine.start(folders.environment);
  expect((await engine.load(join(SHARED, 'accumulator'))).type).toBe('LOADED');
  expect(folders.files()).toEqual(EMPTY);
});

test('nor does the process that checks a model', async () => {
  using folders = new EmptyFolders();
  const before = process.env;
  process.env = folders.environment;
  try {
    expect(await checkModel(join(SHARED, 'accumulator'))).toMatchObject({ ok: true });
  } finally {
    process.env = before;
  }
  expect(folders.files()).toEqual(EMPTY);
});
