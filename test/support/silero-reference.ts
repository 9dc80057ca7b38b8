import path from 'node:path';
import { BUNDLED_MODELS } from '@cabstand/testing';
import { InferenceSession, Tensor } from 'onnxruntime-node';

const FRAME = 512;
const CARRY = 64;

/** Silero VAD called directly, one frame after another: what serving it must equal bit for bit. */
export class SileroReference {
  private constructor(private readonly session: InferenceSession) {}

  static async load(): Promise<SileroReference> {
    const file = path.join(BUNDLED_MODELS, 'silero-vad/1/silero_vad.onnx');
    return new SileroReference(
      await InferenceSession.create(file, { intraOpNumThreads: 1, interOpNumThreads: 1 }),
    );
  }

  /** One probability per whole frame. */
  async probabilities(samples: Float32Array): Promise<Float32Array> {
    const frames = Math.floor(samples.length / FRAME);
    const result = new Float32Array(frames);
    const input = new Float32Array(CARRY + FRAME);
    const sr = new Tensor('int64', BigInt64Array.of(16000n), []);
    let state = new Tensor('float32', new Float32Array(2 * 128), [2, 1, 128]);
    for (let frame = 0; frame < frames; frame++) {
      input.copyWithin(0, FRAME);
      input.set(samples.subarray(frame * FRAME, (frame + 1) * FRAME), CARRY);
      const feeds = { input: new Tensor('float32', input, [1, CARRY + FRAME]), state, sr };
      const outputs = await this.session.run(feeds);
      state = outputs.stateN as typeof state;
      result[frame] = (outputs.output?.data as Float32Array)[0] ?? NaN;
    }
    return result;
  }
}
