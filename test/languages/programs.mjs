// The programs of examples/languages as run.sh has built them, and how one is run.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { cannotTell } from './report.mjs';

const EXAMPLES = path.resolve(import.meta.dirname, '../../examples/languages');
/** What has not ended by then never will, on a busy machine either. */
const PATIENCE_MS = 150_000;

/** @param built folders, by language */
export function programs({ python, go, java, rust, csharp }) {
  const target = path.join(java, 'target');
  const all = [
    {
      name: 'Python',
      command: [`${python}/venv/bin/python`, `${EXAMPLES}/python/client.py`],
      env: { PYTHONPATH: python },
    },
    // Of routers and hosters, not of a gateway.
    {
      name: 'Python, resuming by hand',
      direct: true,
      command: [`${python}/venv/bin/python`, `${EXAMPLES}/python/resuming.py`],
      env: { PYTHONPATH: python },
    },
    { name: 'Go', command: [`${go}/client`] },
    {
      name: 'Java',
      needs: target,
      command: ['java', '-cp', `${target}/client-1.jar:${target}/dependency/*`, 'Client'],
    },
    { name: 'Rust', command: [`${rust}/release/client`] },
    { name: 'C#', needs: csharp, command: ['dotnet', `${csharp}/out/client.dll`] },
    // It starts a few processes for each record.
    { name: 'shell', slow: true, command: ['bash', `${EXAMPLES}/shell/client.sh`] },
  ];
  return all.filter(({ name, command, needs = command[0] }) => {
    const there = !path.isAbsolute(needs) || existsSync(needs);
    if (!there) cannotTell(`the ${name} program was not run: its compiler is not here`);
    return there;
  });
}

/** A program that runs, with what it has printed so far. */
export class Run {
  lines = [];
  errors = '';
  #watchers = [];

  constructor({ command, env = {} }, args) {
    const child = spawn(command[0], [...command.slice(1), ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    const patience = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
    child.stderr.setEncoding('utf8').on('data', (text) => (this.errors += text));
    const reader = createInterface({ input: child.stdout });
    reader.on('line', (line) => {
      this.lines.push(line);
      for (const watch of this.#watchers) watch();
    });
    this.ended = new Promise((resolve) => {
      child.once('error', (error) => resolve(error.message));
      // Once all that it printed was read, too.
      child.once('close', (code, signal) => resolve(code ?? signal));
    }).finally(() => clearTimeout(patience));
  }

  /** Resolves once so many lines have come; rejects where the program ends before. */
  async printed(count) {
    const there = new Promise((resolve) => {
      const look = () => {
        if (this.lines.length >= count) resolve(true);
      };
      this.#watchers.push(look);
      look();
    });
    const early = this.ended.then((code) => {
      if (this.lines.length < count) throw new Error(`it ended with ${code}: ${this.errors}`);
    });
    await Promise.race([there, early]);
  }
}

/** `position probability` in each line, every position once and in order. */
export function compare(lines, wanted) {
  if (lines.length !== wanted.length)
    return `${lines.length} lines, expected ${wanted.length}; the last is ${lines.at(-1)}`;
  for (const [position, line] of lines.entries()) {
    const [at, value] = line.split(' ').map(Number);
    // Four decimals are printed.
    if (at !== position || !(Math.abs(value - wanted[position]) < 2e-4))
      return `got "${line}", expected ${position} ${wanted[position]}`;
  }
  return undefined;
}
