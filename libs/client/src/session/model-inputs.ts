import { BoundedMap, CabstandError } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import type { ModelInputs, SessionProtocol, Target } from '../protocol/types';
import type { PlacementRequest, PlacementSource } from '../remote/types';

const MOST_MODELS = 100;
/** Hosters asked before giving up. */
const MOST_ASKED = 3;
/** What any version of a model takes is asked again after this, in milliseconds: there may be a newer one. */
const ANY_VERSION_MS = 60_000;

export type ModelName = Pick<PlacementRequest, 'model' | 'allow' | 'block'> & {
  /** Empty for any. */
  readonly digest: string;
};

interface Known {
  readonly inputs: ModelInputs;
  readonly until: number;
}

/** What models take, asked of hosters when it is first needed. */
export class KnownModels {
  readonly #protocol: SessionProtocol;
  readonly #placement: PlacementSource;
  readonly #clock: Clock;
  readonly #known = new BoundedMap<string, Known>(MOST_MODELS);

  constructor(protocol: SessionProtocol, placement: PlacementSource, clock: Clock) {
    this.#protocol = protocol;
    this.#placement = placement;
    this.#clock = clock;
  }

  /**
   * Undefined where nobody can tell. Throws what the last of the hosters asked failed with.
   *
   * @param node the one that has the session; others are asked where it does not answer
   */
  async inputs(
    name: ModelName,
    node: Target | undefined,
    signal: AbortSignal,
  ): Promise<ModelInputs | undefined> {
    const key = `${name.model}\n${name.digest}`;
    const known = this.#known.get(key);
    if (known !== undefined && this.#clock.monotonic() < known.until) return known.inputs;
    const inputs = await this.#ask(name, node, signal);
    if (inputs !== undefined) {
      this.#known.set(key, { inputs, until: this.#clock.monotonic() + ANY_VERSION_MS });
      this.#known.set(`${name.model}\n${inputs.digest}`, { inputs, until: Infinity });
    }
    return inputs;
  }

  async #ask(
    { model, digest, allow, block }: ModelName,
    node: Target | undefined,
    signal: AbortSignal,
  ): Promise<ModelInputs | undefined> {
    if (this.#protocol.modelInputs === undefined) return undefined;
    const request = { model, signal, allow: allow ?? [], block: block ?? [] };
    const others = await this.#placement.hostersOf?.(
      digest === '' ? request : { ...request, digest },
    );
    const hosters = [...(node === undefined ? [] : [node]), ...(others ?? [])];
    let failed: CabstandError | undefined;
    for (const hoster of hosters.slice(0, MOST_ASKED))
      try {
        const options = { signal, deadlineMs: Infinity };
        const inputs = await this.#protocol.modelInputs(hoster, { model, digest }, options);
        if (inputs !== undefined) return inputs;
      } catch (thrown) {
        if (signal.aborted) throw thrown;
        failed = CabstandError.from(thrown);
      }
    if (failed !== undefined) throw failed;
    return undefined;
  }
}
