import { CabstandError } from '@cabstand/core';
import type { v1 } from '@cabstand/rpc';
import { printable } from '../render/style';
import type { Connection } from './connection';

const MOST_NAMED = 3;

export interface ModelWatchOptions {
  readonly connection: Connection;
  readonly tell: (what: string) => void;
  /** What a hoster says, as the user knows the files. */
  readonly named: (message: string) => string;
}

/** Follows how the models of local hosters load, and says which cannot be served as soon as it is known. */
export class ModelWatch {
  readonly #options: ModelWatchOptions;
  readonly #told = new Set<string>();

  constructor(options: ModelWatchOptions) {
    this.#options = options;
  }

  /** Looks at a hoster's models and tells of new failures; answers who still loads, for people. */
  async look(address: string): Promise<string> {
    const models = await this.#models(address);
    for (const { name, failure } of this.#failed(models)) {
      const told = `${name}: ${failure}`;
      // Every hoster has the same models, and the same to say about them.
      if (this.#told.has(told)) continue;
      this.#told.add(told);
      this.#options.tell(`cannot serve ${told}`);
    }
    const busy = [
      ...models.filter(({ state }) => state === 'MODEL_STATE_VERIFYING'),
      ...models.filter(({ state }) => state === 'MODEL_STATE_LOADING'),
    ].map(nameAndState);
    const rest = busy.length - MOST_NAMED;
    return busy.slice(0, MOST_NAMED).join(', ') + (rest > 0 ? ` and ${rest} more` : '');
  }

  /** Why there is nothing to serve, for a hoster that says so. */
  async nothing(address: string): Promise<CabstandError> {
    const reasons = this.#failed(await this.#models(address)).map(
      ({ name, failure }) => `\n  ${name}: ${failure}`,
    );
    return new CabstandError('MODEL_FAILED', `no model can be served${reasons.join('')}`);
  }

  async #models(address: string): Promise<readonly v1.ModelInfo__Output[]> {
    // A hoster that does not answer yet has failed nothing.
    return this.#options.connection.info(address).then(
      ({ models }) => models,
      () => [],
    );
  }

  #failed(
    models: readonly v1.ModelInfo__Output[],
  ): { readonly name: string; readonly failure: string }[] {
    return models
      .filter(({ state }) => state === 'MODEL_STATE_FAILED')
      .map(({ offer, failure }) => {
        const name = offer?.name ?? '?';
        const said = this.#options.named(failure);
        // Some begin with the name.
        const why = said.startsWith(`${name}: `) ? said.slice(name.length + 2) : said;
        return { name, failure: why.split('\n').map(printable).join('\n  ') };
      });
  }
}

function nameAndState({ offer, state }: v1.ModelInfo__Output): string {
  return `${offer?.name ?? '?'} (${state.replace('MODEL_STATE_', '').toLowerCase()})`;
}
