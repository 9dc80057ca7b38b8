import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { caseToJson } from './call';
import type { Case } from './call';

const MOST_FILES = 40;

/** What was found: how often, and the first case of each kind as a file. */
export class Findings {
  readonly #found = new Map<string, { count: number; file: string | undefined }>();
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  get count(): number {
    return this.#found.size;
  }

  /** @param found undefined for what no single story is the cause of */
  add(finding: string, found?: Case): void {
    // What differs between two of a kind are names and numbers.
    const kind = finding.replace(/fuzz-\d+-\d+|\d+/g, '#').slice(0, 200);
    const before = this.#found.get(kind);
    if (before !== undefined) {
      before.count += 1;
      return;
    }
    let file: string | undefined;
    if (found !== undefined && this.#found.size < MOST_FILES) {
      mkdirSync(this.#folder, { recursive: true });
      file = path.join(this.#folder, `case-${String(found.seed)}-${String(found.story)}.json`);
      writeFileSync(file, caseToJson(found));
    }
    this.#found.set(kind, { count: 1, file });
    process.stdout.write(
      `FOUND: ${finding.slice(0, 600)}${file === undefined ? '' : ` (${file})`}\n`,
    );
  }

  print(): string {
    return [...this.#found]
      .map(([kind, { count, file }]) => `FOUND ${String(count)} times: ${kind} ${file ?? ''}`)
      .join('\n');
  }
}
