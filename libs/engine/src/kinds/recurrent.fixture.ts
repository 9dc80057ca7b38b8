/** Steps of a model made in a test, in this process. */
import { arrayOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import { decodeFrame } from '../frames/codec';
import { PREFIX } from '../frames/layout';
import type { GraphSession } from '../graphs/graph-session';
import type { SessionOptions } from '../graphs/binding';
import { makeModel } from '../graphs/model.fixture';
import { StepWriter } from '../output/step-writer';
import type { RecurrentSequence } from '../turns/recurrent-sequence';
import { decodeChunk } from '../verify/decode-chunk';
import { RecurrentStepper } from './recurrent';

type Outputs = Record<string, { shape: readonly number[]; values: unknown[] }>;

export class Bench {
  readonly stepper: RecurrentStepper;
  readonly sessions: readonly GraphSession[];
  #next = 0;

  private constructor(stepper: RecurrentStepper, sessions: readonly GraphSession[]) {
    this.stepper = stepper;
    this.sessions = sessions;
  }

  /**
   * @param bytes of the ONNX file
   * @param manifest lines of model.yaml but for its name
   */
  static async of(bytes: Buffer, manifest: string, how?: Partial<SessionOptions>): Promise<Bench> {
    const { model, sessions } = await makeModel(bytes, manifest, how);
    return new Bench(new RecurrentStepper(model, sessions, 16), sessions);
  }

  open(): RecurrentSequence {
    const sequence = this.stepper.open(this.#next++, 0);
    sequence.records = Infinity;
    sequence.bytes = Infinity;
    return sequence;
  }

  begin(sequence: RecurrentSequence, turn: number, ...inputs: Tensor[]): RecurrentSequence {
    this.stepper.begin(sequence, {
      ...{ type: 'TURN', sequence: sequence.id, turn, prompt: '', parameters: {} },
      ...{ inputs, live: false },
    });
    return sequence;
  }

  /** One step with all of them; answers each one's outputs by name, or its error. */
  async step(...batch: RecurrentSequence[]): Promise<(Outputs | string)[]> {
    const out = new StepWriter();
    await this.stepper.step(batch, out);
    const [bytes = Buffer.alloc(0)] = out.take(batch.length, 0);
    const frame = decodeFrame(bytes[PREFIX - 1] ?? 0, bytes.subarray(PREFIX));
    if (frame.type !== 'STEP') throw new Error(`not a step: ${frame.type}`);
    return batch.map(({ id }) => {
      const items = frame.items.filter((item) => item.sequence === id);
      const end = items.find((item) => item.kind === 'end');
      if (end?.end.reason === 'error') return end.end.error.reason;
      const chunk = items.find((item) => item.kind === 'chunk');
      if (chunk === undefined) throw new Error('no chunk');
      return Object.fromEntries(
        decodeChunk(chunk.chunk).outputs.map((tensor) => [
          tensor.name,
          { shape: tensor.shape, values: tensor.strings?.slice() ?? [...arrayOf(tensor)] },
        ]),
      );
    });
  }
}
