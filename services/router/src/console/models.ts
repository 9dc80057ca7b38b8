import type { Node } from '../registry/node';
import { addSlots, noSlots, slotsOf } from './rows';
import type { Sums } from './rows';
import type { ModelRow } from './view';

/** Words of one sort that are shown of a model. */
const WORDS = 4;
/** Names of models that are added up: a hoster could offer new ones for ever. */
const MOST_NAMES = 10_000;

interface Counted {
  readonly sums: Sums;
  readonly versions: Set<string>;
  readonly kinds: Set<string>;
  readonly classes: Set<string>;
  readonly providers: Set<string>;
  readonly references: Set<string>;
  nodes: number;
  loading: number;
  failed: number;
  stepSeconds: number;
  steps: number;
}

/** Adds up what nodes say of each model. */
export class ModelTable {
  readonly #models = new Map<string, Counted>();

  get size(): number {
    return this.#models.size;
  }

  add(node: Node): void {
    if (node.state.kind === 'OFFLINE') return;
    for (const offer of node.offers) {
      const model = this.#of(offer.name);
      if (model === undefined) continue;
      learn(model.versions, offer.version);
      learn(model.kinds, offer.kind);
      learn(model.classes, offer.batchClass === 'unspecified' ? '' : offer.batchClass);
      learn(model.providers, offer.provider);
      learn(model.references, offer.reference);
    }
    for (const slot of node.slots.values()) {
      const model = this.#of(slot.model);
      if (model === undefined) continue;
      addSlots(model.sums, slotsOf(slot));
      model.nodes++;
      if (slot.stepSeconds === 0) continue;
      model.stepSeconds += slot.stepSeconds;
      model.steps++;
    }
    for (const { name, state } of node.others) {
      const model = this.#of(name);
      if (model === undefined) continue;
      if (state === 'failed') model.failed++;
      else if (state !== 'draining') model.loading++;
    }
  }

  /** Mean time of a step over all models and nodes that tell of it; null where none does. */
  get stepMs(): number | null {
    let steps = 0;
    let seconds = 0;
    for (const model of this.#models.values()) {
      steps += model.steps;
      seconds += model.stepSeconds;
    }
    return mean(seconds, steps);
  }

  /** Those that could not be loaded somewhere first, then those that have most to do. */
  rows(most: number): readonly ModelRow[] {
    return [...this.#models]
      .sort(
        ([nameA, a], [nameB, b]) =>
          Math.sign(b.failed) - Math.sign(a.failed) ||
          b.sums.running - a.sums.running ||
          (nameA < nameB ? -1 : 1),
      )
      .slice(0, most)
      .map(([name, model]) => ({
        ...model.sums,
        name,
        versions: [...model.versions],
        kinds: [...model.kinds],
        classes: [...model.classes],
        providers: [...model.providers],
        references: [...model.references],
        nodes: model.nodes,
        loading: model.loading,
        failed: model.failed,
        stepMs: mean(model.stepSeconds, model.steps),
      }));
  }

  #of(name: string): Counted | undefined {
    const known = this.#models.get(name);
    if (known !== undefined || this.#models.size >= MOST_NAMES) return known;
    const model: Counted = {
      sums: noSlots(),
      versions: new Set(),
      kinds: new Set(),
      classes: new Set(),
      providers: new Set(),
      references: new Set(),
      nodes: 0,
      loading: 0,
      failed: 0,
      stepSeconds: 0,
      steps: 0,
    };
    this.#models.set(name, model);
    return model;
  }
}

function learn(words: Set<string>, word: string): void {
  if (word !== '' && words.size < WORDS) words.add(word);
}

function mean(seconds: number, steps: number): number | null {
  return steps === 0 ? null : Math.round((seconds / steps) * 1e6) / 1000;
}
