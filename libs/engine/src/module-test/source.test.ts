import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Source } from './source';

const folder = mkdtempSync(path.join(tmpdir(), 'cabstand-source-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const read = (text: string): Promise<Source> => {
  writeFileSync(path.join(folder, 'index.ts'), text);
  return Source.read(folder);
};

test.each([
  ['x = Math.random();', 'Math.random()', 'ctx.random()'],
  ['x = 1;\nx = Date.now();', 'Date.now()', "await ctx.record('time', () => Date.now())"],
  ['const answer = await fetch(url);', 'fetch(', "await ctx.record('answer', () => …)"],
])('%j is not the same in a second run', async (text, what, instead) => {
  const where = `index.ts:${text.split('\n').length}`;
  expect((await read(text)).chance).toEqual({ where, what, instead });
});

test.each([
  'const t = await ctx.record("t", () => Date.now());',
  '// Math.random()',
  '/* Date.now()\n Date.now() */',
  'class A {\n  constructor() {\n    this.seed = Math.random();\n  }\n}',
  'class A {\n  static async load(env) {\n    return new A(await fetch(env.config.url));\n  }\n}',
])('%j is no reason', async (text) => {
  const { chance, kept } = await read(text);
  expect({ chance, kept }).toEqual({ chance: undefined, kept: undefined });
});

test.each([
  ['this.#count += 1;', 'this.#count'],
  ['this.seen.push(1);', 'this.seen.push('],
  ['let last = 0;', 'let last'],
  ['this.scene.light = 2;', 'this.scene.light'],
])('%j is kept beside the state', async (text, what) => {
  expect((await read(text)).kept).toEqual({ where: 'index.ts:1', what, instead: 'ctx.state' });
});

test('a comparison keeps nothing, and packages that were brought along are not looked at', async () => {
  mkdirSync(path.join(folder, 'node_modules'));
  writeFileSync(path.join(folder, 'node_modules', 'a.js'), 'this.a = 1; Math.random()');
  const { kept, chance } = await read('if (this.count === 1 || this.count >= 2) f(() => this.x);');
  expect({ kept, chance }).toEqual({ kept: undefined, chance: undefined });
});
