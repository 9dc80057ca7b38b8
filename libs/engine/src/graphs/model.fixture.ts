/** Models made in a test: a graph's bytes and a manifest, bound and ready to run in this process. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadManifest } from '@cabstand/model';
import type { GraphSession } from './graph-session';
import { bindManifest } from './bind';
import type { SessionOptions } from './binding';
import type { BoundModel } from './bound';
import { createSession } from './session';

export interface MadeModel {
  readonly model: BoundModel;
  readonly sessions: GraphSession[];
}

/** @param manifest lines of model.yaml but for name, description and golden data */
export async function makeModel(
  bytes: Buffer,
  manifest: string,
  how: Partial<SessionOptions> = {},
): Promise<MadeModel> {
  const root = mkdtempSync(join(tmpdir(), 'cabstand-model-'));
  try {
    const folder = join(root, 'made');
    mkdirSync(join(folder, '1'), { recursive: true });
    writeFileSync(join(folder, '1', 'm.onnx'), bytes);
    writeFileSync(join(folder, 'model.yaml'), `name: made\n${manifest}`);
    const loaded = await loadManifest(folder, undefined, { digest: false });
    const session = await createSession(join(folder, '1', 'm.onnx'), {
      provider: 'cpu',
      threads: 1,
      ...how,
    });
    const { inputMetadata: inputs, outputMetadata: outputs } = session;
    return { model: bindManifest(loaded, [{ inputs, outputs }]), sessions: [session] };
  } finally {
    rmSync(root, { recursive: true });
  }
}
