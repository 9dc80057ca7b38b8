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
  readonly step: Mean;
  readonly firstChunk: Mean;
  recordsPerSecond: number;
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
      model.recordsPerSecond += slot.recordsPerSecond;
      model.step.add(slot.stepSeconds);
      model.firstChunk.add(slot.firstChunkSeconds);
    }
    for (const { name, state } of node.others) {
      const model = this.#of(name);
      if (model === undefined) continue;
      if (state === 'failed') model.failed++;
      else if (state !== 'draining') model.loading++;
    }
  }

  /** Of all models together. */
  get pace(): Pick<ModelRow, 'stepMs' | 'recordsPerSecond' | 'firstChunkMs'> {
    const step = new Mean();
    const firstChunk = new Mean();
    let recordsPerSecond = 0;
    for (const model of this.#models.values()) {
      step.join(model.step);
      firstChunk.join(model.firstChunk);
      recordsPerSecond += model.recordsPerSecond;
    }
    return {
      recordsPerSecond: tenths(recordsPerSecond),
      firstChunkMs: firstChunk.ms,
      stepMs: step.ms,
    };
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
        stepMs: model.step.ms,
        recordsPerSecond: tenths(model.recordsPerSecond),
        firstChunkMs: model.firstChunk.ms,
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
      step: new Mean(),
      firstChunk: new Mean(),
      recordsPerSecond: 0,
    };
    this.#models.set(name, model);
    return model;
  }
}

function learn(words: Set<string>, word: string): void {
  if (word !== '' && words.size < WORDS) words.add(word);
}

/** Of times that nodes tell, in seconds; 0 is told where there was none. */
class Mean {
  #seconds = 0;
  #count = 0;

  add(seconds: number): void {
    if (seconds === 0) return;
    this.#seconds += seconds;
    this.#count++;
  }

  join(other: Mean): void {
    this.#seconds += other.#seconds;
    this.#count += other.#count;
  }

  get ms(): number | null {
    return this.#count === 0 ? null : Math.round((this.#seconds / this.#count) * 1e6) / 1000;
  }
}

function tenths(value: number): number {
  return Math.round(value * 10) / 10;
}
