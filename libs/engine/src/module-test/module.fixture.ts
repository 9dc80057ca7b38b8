/** Folders with modules, good and bad, for tests. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

export interface ModuleText {
  readonly survival?: 'none' | 'replay' | 'commit';
  /** What a round of the loop does; `this.one(value)` makes the output, `ctx.state.n` counts rounds from 1. */
  readonly round?: string;
  readonly commands?: string;
  readonly state?: string;
  readonly before?: string;
  /** Instead of all that. */
  readonly file?: string;
}

const ROUNDS = 12;

export class Modules {
  readonly #root = mkdtempSync(path.join(tmpdir(), 'cabstand-modules-'));

  remove(): void {
    rmSync(this.#root, { recursive: true, force: true });
  }

  /** Answers the folder of the model. */
  make(name: string, { survival = 'replay', ...text }: ModuleText): string {
    const folder = path.join(this.#root, name);
    mkdirSync(path.join(folder, '1'), { recursive: true });
    const manifest = `kind: module\nname: ${name}\nmodule: index.ts\nsurvival: ${survival}
outputs: { y: { dtype: float32, shape: [1] } }\nlimits: { stop_grace_seconds: 1 }\n`;
    writeFileSync(path.join(folder, 'model.yaml'), manifest);
    writeFileSync(path.join(folder, '1', 'index.ts'), text.file ?? fileOf(text));
    return folder;
  }
}

/** The round begins in line 16. */
function fileOf({ round = '', commands = '', state = '', before = '' }: ModuleText): string {
  return `${before}
export default class Example {
  static readonly commands = { ${commands} };
  #count = 0;
  count = 0;
  constructor(readonly env: any) {}
  static load(env: any): Example { return new Example(env); }
  newState(): any { return { n: 0, ${state} }; }
  one(value: number): any { return { y: new this.env.Tensor('float32', [value], [1]) }; }
  async startSession(ctx: any): Promise<void> {
    let local = 0;
    while (!ctx.shouldStop() && ctx.state.n < ${ROUNDS}) {
      await ctx.checkpoint();
      ctx.state.n += 1;

      ${round}
    }
  }
}
`;
}
