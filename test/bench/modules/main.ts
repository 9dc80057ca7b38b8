import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { benchBlocked } from './blocked';
import { benchEmit } from './emit';
import { BenchEngine } from './engine';
import { writeModels } from './models';
import { benchNeighbour } from './neighbour';
import { benchServed } from './served';
import { benchTakeOver } from './take-over';

export interface ModulesOptions {
  readonly pairs: number;
  readonly seconds: number;
  /** Only parts whose name contains this: emit, blocked, served, neighbour, take-over. */
  readonly only: string;
}

/** Fewer heartbeats and live records than this many seconds have say nothing of their longest gaps. */
const LEAST_SECONDS = 10;

/** What modules cost: their records, and authors who compute without end. */
export async function benchModules({ pairs, seconds, only }: ModulesOptions): Promise<void> {
  const repository = mkdtempSync(path.join(tmpdir(), 'cabstand-modules-'));
  writeModels(repository);
  const wants = (name: string): boolean => name.includes(only);
  const long = Math.max(seconds, LEAST_SECONDS);
  try {
    if (wants('emit')) await benchEmit(path.join(repository, 'emitter'), { pairs, seconds });
    if (wants('blocked')) {
      await using engine = await BenchEngine.start(path.join(repository, 'blocker'));
      await benchBlocked(engine, long);
    }
    if (wants('served')) await benchServed(repository, { pairs, seconds });
    if (wants('take-over')) await benchTakeOver(repository);
    if (wants('neighbour')) await benchNeighbour(repository, { pairs, seconds: long });
  } finally {
    rmSync(repository, { recursive: true });
  }
}
