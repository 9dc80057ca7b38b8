/** What an author's own code says of why two runs differ: the calls that are not the same in a second one. */
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';

/** A place in the author's code, and what belongs there instead. */
export interface Cause {
  /** `index.ts:12`. */
  readonly where: string;
  /** `Math.random()`. */
  readonly what: string;
  readonly instead: string;
}

interface Pattern {
  readonly expression: RegExp;
  readonly instead: string;
}

/** In the order in which they are blamed. */
const CHANCE: readonly Pattern[] = [
  { expression: /\bMath\.random\(\)/, instead: 'ctx.random()' },
  {
    expression:
      /\bDate\.now\(\)|\bnew Date\(\)|\bperformance\.now\(\)|\bprocess\.(hrtime|uptime)\b/,
    instead: "await ctx.record('time', () => Date.now())",
  },
  {
    expression: /\b(randomUUID|randomBytes|randomInt|getRandomValues)\(/,
    instead: "await ctx.record('id', () => …)",
  },
  { expression: /\bfetch\(|\breadFile(Sync)?\(/, instead: "await ctx.record('answer', () => …)" },
];

const KEPT: readonly Pattern[] = [
  {
    expression: /\bthis\.#?\w+(\.\w+|\[[^\]]*\])*\s*(\+\+|--|[-+*/%|&^?]{0,2}=(?![=>]))/,
    instead: 'ctx.state',
  },
  {
    expression: /\bthis\.#?\w+(\.\w+)*\.(push|set|add|unshift|splice|fill)\(/,
    instead: 'ctx.state',
  },
  { expression: /^(let|var)\s+\w+/, instead: 'ctx.state' },
];

const LOCAL: readonly Pattern[] = [{ expression: /^\s+let\s+\w+/, instead: 'ctx.state' }];

const CODE = /\.[mc]?[jt]sx?$/;
const MOST_FILES = 200;

interface Line {
  readonly where: string;
  readonly text: string;
  /** Within a constructor, or in `load`. */
  readonly once: boolean;
}

export class Source {
  readonly #lines: readonly Line[];

  private constructor(lines: readonly Line[]) {
    this.#lines = lines;
  }

  /** The code of a version's folder; that of packages it brought along does not count. */
  static async read(folder: string): Promise<Source> {
    const entries = await readdir(folder, { withFileTypes: true, recursive: true });
    const files = entries
      .filter((entry) => entry.isFile() && CODE.test(entry.name))
      .map((entry) => path.join(entry.parentPath, entry.name))
      .filter((file) => !path.relative(folder, file).split(path.sep).includes('node_modules'))
      .slice(0, MOST_FILES);
    const lines: Line[] = [];
    for (const file of files)
      lines.push(...linesOf(path.relative(folder, file), await readFile(file, 'utf8')));
    return new Source(lines);
  }

  get usesBatcher(): boolean {
    return this.#lines.some(({ text }) => /\.batcher\(/.test(text));
  }

  /** Time, chance and the outside world, where no ctx.record() is around them. */
  get chance(): Cause | undefined {
    return this.#first(CHANCE, ({ text, once }) => !once && !text.includes('.record('));
  }

  /** What is kept beside ctx.state, and so shared by all sessions. */
  get kept(): Cause | undefined {
    return this.#first(KEPT, ({ once }) => !once);
  }

  /** A variable that a session which goes on from a checkpoint does not have. */
  get local(): Cause | undefined {
    return this.kept ?? this.#first(LOCAL, ({ once }) => !once);
  }

  #first(patterns: readonly Pattern[], counts: (line: Line) => boolean): Cause | undefined {
    for (const { expression, instead } of patterns)
      for (const line of this.#lines) {
        const found = expression.exec(line.text);
        if (found === null || !counts(line)) continue;
        const what = found[0].trim().replace(/\s*(\+\+|--|[-+*/%|&^?]*=)$/, '');
        return { where: line.where, what, instead };
      }
    return undefined;
  }
}

/** Comments are left out, roughly: what is blamed wrongly costs an author a look. */
function linesOf(name: string, text: string): Line[] {
  const plain = text.replaceAll(/\/\*[^]*?\*\//g, (comment) => comment.replaceAll(/[^\n]/g, ' '));
  let depth = 0;
  let onceAt: number | undefined;
  return plain.split('\n').map((raw, index) => {
    const line = raw.replace(/(^|\s)\/\/.*$/, '');
    if (onceAt === undefined && /\bconstructor\s*\(|\bstatic\s+(async\s+)?load\s*\(/.test(line))
      onceAt = depth;
    const once = onceAt !== undefined;
    for (const character of line) depth += character === '{' ? 1 : character === '}' ? -1 : 0;
    if (onceAt !== undefined && depth <= onceAt && line.includes('}')) onceAt = undefined;
    return { where: `${name}:${index + 1}`, text: line, once };
  });
}
