/** A model repository that can be changed while it is served. */
import { appendFileSync, cpSync } from 'node:fs';
import path from 'node:path';
import { TEST_MODELS } from '@cabstand/testing';
import { moduleRepository, ride } from '../../support/module-models';
import { MODEL } from '../asking';

/** The accumulator and a module that counts. Whoever asks for it removes it. */
export function operatedModels(): string {
  const models = moduleRepository({ ride: ride('replay') });
  cpSync(path.join(TEST_MODELS, MODEL), path.join(models, MODEL), { recursive: true });
  return models;
}

/** Lays version 2 of the accumulator beside version 1: it computes the same, with other weights as its digest tells. */
export function addVersion2(models: string): void {
  const folder = path.join(models, MODEL);
  cpSync(path.join(folder, '1'), path.join(folder, '2'), { recursive: true });
  // Field 6 of an ONNX model is its description.
  appendFileSync(path.join(folder, '2', `${MODEL}.onnx`), Buffer.from('\x32\x01v'));
}
