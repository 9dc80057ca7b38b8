import type { v1 } from '@cabstand/rpc';
import type { Tensor } from '@cabstand/tensor';

/** Counts what a turn gives of an input that is cut into frames. */
export class FramedCount {
  readonly #model: v1.ModelInfo__Output;
  #items = 0;

  constructor(model: v1.ModelInfo__Output) {
    this.#model = model;
  }

  readonly add = (tensors: readonly Tensor[]): void => {
    const [framed] = this.#model.framing;
    const tensor = tensors.find(({ name }) => name === framed?.input);
    this.#items += tensor?.shape[framed?.axis ?? 0] ?? 0;
  };

  /** Why a turn that computed nothing did not; undefined where the input is not the reason. */
  get tooShort(): string | undefined {
    const [framed] = this.#model.framing;
    if (framed === undefined || this.#items >= framed.frame) return undefined;
    const { input, frame } = framed;
    const audio = this.#model.inputs.some(({ name, media }) => name === input && media === 'audio');
    const unit = audio ? 'samples' : 'items';
    return `no records: ${input} has ${this.#items} ${unit}, one frame takes ${frame}`;
  }
}
