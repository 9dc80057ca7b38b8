/** Models whose sessions are programs, laid out for a subnet: test/modules has the programs. */
import { cpSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { REPOSITORY_ROOT } from '@cabstand/testing';

export interface ModuleModel {
  /** Name of its file in test/modules, or the source itself. */
  readonly program: string | { readonly source: string };
  /** More of its model.yaml. */
  readonly manifest?: Readonly<Record<string, unknown>>;
}

/** A new model repository; whoever asks for it removes it. */
export function moduleRepository(models: Readonly<Record<string, ModuleModel>>): string {
  const root = mkdtempSync(path.join(tmpdir(), 'cabstand-modules-'));
  for (const [name, { program, manifest }] of Object.entries(models)) {
    const folder = path.join(root, name, '1');
    mkdirSync(folder, { recursive: true });
    writeFileSync(
      path.join(root, name, 'model.yaml'),
      JSON.stringify({ kind: 'module', ...manifest }),
    );
    const file = path.join(folder, 'index.ts');
    if (typeof program === 'string')
      cpSync(path.join(REPOSITORY_ROOT, 'test/modules', program), file);
    else writeFileSync(file, program.source);
  }
  return root;
}

/** Counts: test/modules/ride.ts. */
export function ride(
  survival: 'none' | 'replay' | 'commit',
  graceSeconds = 5,
  silentSeconds = 30,
): ModuleModel {
  return {
    program: 'ride.ts',
    manifest: {
      ...{ survival, prompt: true },
      limits: { stop_grace_seconds: graceSeconds, silent_seconds: silentSeconds },
      messages: { began: {}, blocks: {}, fives: {} },
      outputs: { y: { dtype: 'float32', shape: [3] } },
      parameters: {
        frames: { dtype: 'int64', default: 100_000 },
        pace: { dtype: 'int64', default: 5 },
        at: { dtype: 'int64', default: 2 },
      },
    },
  };
}
