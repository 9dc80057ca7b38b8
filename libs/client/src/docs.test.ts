import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';

const ROOT = path.resolve(__dirname, '../../..');

/** The code blocks of docs/client.md, each as a module with a `main`. */
const snippets = [
  ...readFileSync(path.join(ROOT, 'docs/client.md'), 'utf8').matchAll(
    /^```ts( run)?\n([\s\S]*?)^```$/gm,
  ),
].map(([, run, code = '']) => {
  const lines = code.split('\n');
  const isTop = (line: string): boolean => /^(import|declare) /.test(line);
  const body = lines.filter((line) => !isTop(line)).join('\n');
  const top = lines.filter(isTop).join('\n');
  return { run: run !== undefined, code: `${top}\nexport async function main() {\n${body}\n}\n` };
});

test('every snippet of docs/client.md compiles', () => {
  expect(snippets.length).toBeGreaterThanOrEqual(3);
  const folder = mkdtempSync(path.join(__dirname, 'docs-'));
  try {
    const files = snippets.map(({ code }, index) => {
      const file = path.join(folder, `snippet-${index}.ts`);
      writeFileSync(file, code);
      return file;
    });
    const { config } = ts.readConfigFile(path.join(ROOT, 'tsconfig.base.json'), (file) =>
      readFileSync(file, 'utf8'),
    ) as { config: { compilerOptions: Record<string, unknown> } };
    const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, ROOT);
    const program = ts.createProgram(files, {
      ...options,
      noEmit: true,
      composite: false,
      incremental: false,
      declaration: false,
      declarationMap: false,
    });
    const problems = ts
      .getPreEmitDiagnostics(program)
      .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
    expect(problems).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}, 60_000);

test('the example of MockProtocol runs and shows what it says', async () => {
  const example = snippets.find(({ run }) => run);
  const { outputText } = ts.transpileModule(example?.code ?? '', {
    compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 },
  });
  const exported: { main?: () => Promise<void> } = {};
  const said: string[] = [];
  const logged = { log: (...values: unknown[]) => said.push(values.map(String).join(' ')) };
  // eslint-disable-next-line @typescript-eslint/no-implied-eval
  const load = new Function('exports', 'require', 'console', outputText) as (
    exports: object,
    require: (name: string) => unknown,
    console: object,
  ) => void;
  load(exported, () => jest.requireActual('./index'), logged);
  await exported.main?.();
  expect(said).toEqual([
    'you said hello',
    'goodbye',
    'you said again',
    'NODE_UNREACHABLE',
    'goodbye',
  ]);
});
