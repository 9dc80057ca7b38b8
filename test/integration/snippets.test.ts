/** The TypeScript of the documentation compiles, runs as it is written, and ends by itself. */
import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { Child, REPOSITORY_ROOT, Subnet } from '@cabstand/testing';
import { compiled, equip, projectFolder } from '../support/project-folder';
import { snippets } from '../support/snippets';

const all = snippets();
const programs = all.filter(({ runs }) => runs);

/** A program that has not ended by then never will, on a busy machine either. */
const PATIENCE_MS = 60_000;

let folder: string;
let subnet: Subnet;

beforeAll(async () => {
  folder = projectFolder();
  for (const { name, code } of all) writeFileSync(path.join(folder, `${name}.ts`), code);
  subnet = await Subnet.start({
    hosters: 1,
    hosterConfig: { only: ['silero-vad', 'g2p'] },
  });
  equip(folder, subnet);
  for (const { name, code } of all)
    writeFileSync(path.join(folder, `${name}.js`), compiled(code, subnet));
}, 90_000);

afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await subnet.stop();
});

test('there are some', () => {
  expect(programs.length).toBeGreaterThanOrEqual(5);
  const marked = all.filter(({ code }) => !code.includes('import '));
  expect(marked.map(({ where }) => where)).toEqual([]);
});

test('all compile', () => {
  const { config } = ts.readConfigFile(path.join(REPOSITORY_ROOT, 'tsconfig.base.json'), (file) =>
    ts.sys.readFile(file),
  ) as { config: { compilerOptions: Record<string, unknown> } };
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, REPOSITORY_ROOT);
  const program = ts.createProgram(
    all.map(({ name }) => path.join(folder, `${name}.ts`)),
    {
      ...options,
      module: ts.ModuleKind.ESNext,
      moduleResolution: ts.ModuleResolutionKind.Bundler,
      noEmit: true,
      composite: false,
      incremental: false,
      declaration: false,
      declarationMap: false,
    },
  );
  const problems = ts.getPreEmitDiagnostics(program).map(({ file, messageText }) => {
    const name = path.basename(file?.fileName ?? '', '.ts');
    const { where = name } = all.find((snippet) => snippet.name === name) ?? {};
    return `${where}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
  });
  expect(problems).toEqual([]);
}, 60_000);

test('all programs run, say something, and end', async () => {
  const ends = await Promise.all(
    programs.map(async ({ where, name, code: source }) => {
      await using child = new Child(name, [path.join(folder, `${name}.js`)], {}, folder);
      const patience = setTimeout(() => child.kill(), PATIENCE_MS);
      const { code } = await child.exited;
      clearTimeout(patience);
      const said = child.output;
      const fine = code === 0 && said !== '' && !said.includes('Warning:');
      return { source, said, problem: fine ? [] : [`${where}: ${String(code)}: ${said}`] };
    }),
  );
  expect(ends.flatMap(({ problem }) => problem)).toEqual([]);
  const mocked = ends.filter(({ source }) => source.includes('MockProtocol'));
  expect(mocked.map(({ said }) => said.split('\n'))).toEqual([
    ['you said hello', 'goodbye', 'you said again', 'NODE_UNREACHABLE', 'goodbye'],
  ]);
}, 90_000);
