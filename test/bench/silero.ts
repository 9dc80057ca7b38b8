import path from 'node:path';
import { BUNDLED_MODELS } from '@cabstand/testing';
import type { RawModel } from './raw-loop';

/** What the raw loop has to know of the bundled Silero VAD. */
export const SILERO: RawModel = {
  file: path.join(BUNDLED_MODELS, 'silero-vad/1/silero_vad.onnx'),
  input: 'input',
  frame: 512,
  carry: 64,
  state: { input: 'state', output: 'stateN', shape: [2, 1, 128], axis: 1 },
  output: 'output',
  constants: { sr: 16000 },
};
