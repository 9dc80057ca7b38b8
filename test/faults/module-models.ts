import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { REPOSITORY_ROOT } from '@cabstand/testing';

/** The classes of modules that survive. */
export const CLASSES = ['replay', 'commit'] as const;
export type SurvivalClass = (typeof CLASSES)[number];

/** The model of that class. */
export function walkOf(survival: SurvivalClass): string {
  return `walk-${survival}`;
}

/** The names of all of them. */
export const MODULE_MODELS = CLASSES.map(walkOf);

const manifestOf = (survival: SurvivalClass): string => `
kind: module
description: Counts what happens to it, for tests.
survival: ${survival}
live: true
config: { recorded: ${String(survival === 'replay')} }
inputs: { numbers: { dtype: float32, shape: [numbers] } }
outputs: { pad: { dtype: uint8, shape: [bytes] } }
messages: { link: { type: object } }
parameters:
  listen: { dtype: int32, default: 0 }
  pace: { dtype: int32, default: 5 }
  again: { dtype: int32, default: 0 }
limits: { max_input_bytes: 4096 }
`;

/** A model repository with a module of each class, in a folder that goes with this. */
export class ModuleRepository implements Disposable {
  readonly folder = mkdtempSync(path.join(tmpdir(), 'cabstand-walk-'));

  constructor() {
    for (const survival of CLASSES) {
      const model = path.join(this.folder, walkOf(survival));
      mkdirSync(model);
      writeFileSync(path.join(model, 'model.yaml'), manifestOf(survival));
      cpSync(path.join(REPOSITORY_ROOT, 'test/faults/modules'), path.join(model, '1'), {
        recursive: true,
      });
    }
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
