/** Where a session stands: what its snapshots hold, and what it begins from. */
import { fingerprintOf } from '../../snapshot/header';
import type { Position } from '../../snapshot/header';
import { unfit } from '../../snapshot/bytes';
import type { Author } from './author';
import type { Turn } from './messages';
import type { ModuleSnapshotFormat } from './snapshot';
import { lossyPart } from './state-keys';

export interface Saved {
  /** Records of the turn so far. */
  readonly records: number;
  /** Of the last record. */
  readonly chain: number;
  /** Number of the author's next call. */
  readonly point: number;
  /** Number of the next command. */
  readonly commands: number;
  /** Parts of live input that the author has. */
  readonly parts: number;
  /** The last part is among them. */
  readonly inputEnded: boolean;
  readonly random: number;
  readonly state: unknown;
}

/** A session that begins. @param random seed of its random numbers @param live parts of input may follow */
export function fresh(state: unknown, random: number, live: boolean): Saved {
  return {
    records: 0,
    chain: 0,
    point: 0,
    commands: 0,
    parts: 0,
    inputEnded: !live,
    random,
    state,
  };
}

/** Saves and restores sessions of one author's, whose state he may put into a form that lasts. */
export class SavedFormat {
  readonly #format: ModuleSnapshotFormat;
  readonly #author: Author;
  readonly #warn: (message: string) => void;
  #looked = false;

  /** @param warn hears, once, of a state that does not come back as it is */
  constructor(format: ModuleSnapshotFormat, author: Author, warn: (message: string) => void) {
    this.#format = format;
    this.#author = author;
    this.#warn = warn;
  }

  /**
   * @param within the turn that runs; undefined between two turns
   * @throws CabstandError MODULE_FAILED for a state that cannot be copied or is too large
   */
  write(saved: Saved, within: Turn | undefined): Buffer {
    const { records, parts: partsTaken, state, ...rest } = saved;
    const { module, stateVersion } = this.#author;
    const kept = module.snapshot === undefined ? state : module.snapshot(state);
    if (!this.#looked) this.#look(kept);
    return this.#format.write({
      position: within && positionOf(within, records),
      stateVersion,
      partsTaken,
      ...rest,
      state: kept,
    });
  }

  #look(state: unknown): void {
    this.#looked = true;
    const lossy = lossyPart(state);
    if (lossy !== undefined)
      this.#warn(
        `the state does not come back as it is: ${lossy.key} is a ${lossy.what}, of which only the fields are kept`,
      );
  }

  /** @throws CabstandError CHECKPOINT_INVALID for one that is not of this module and this turn */
  read(bytes: Uint8Array, { number, parameters, live, continued }: Turn): Saved {
    const { position, stateVersion, partsTaken, state, ...rest } = this.#format.read(bytes);
    const fits =
      position === undefined
        ? !continued
        : position.turn === number && position.fingerprint.equals(fingerprintOf(parameters));
    if (!fits) throw unfit('turn', `it belongs to another turn than ${number}, or to none`);
    const within =
      position === undefined
        ? { records: 0, parts: 0, inputEnded: !live }
        : { records: position.records, parts: partsTaken };
    return { ...rest, ...within, state: this.#restored(state, stateVersion) };
  }

  #restored(data: unknown, from: number): unknown {
    const { module, stateVersion, migrate } = this.#author;
    if (from !== stateVersion && migrate === undefined)
      throw unfit(
        'version',
        `its state is of stateVersion ${from}, the module has ${stateVersion} and no migrate(data, from)`,
      );
    const current = from === stateVersion ? data : migrate?.(data, from);
    return module.restore === undefined ? current : module.restore(current);
  }
}

function positionOf({ number: turn, parameters }: Turn, records: number): Position {
  return { turn, records, steps: records, fingerprint: fingerprintOf(parameters) };
}
