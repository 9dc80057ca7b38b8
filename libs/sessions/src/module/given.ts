import type { Placed } from '@cabstand/core';
import type { ReplayEntry } from '@cabstand/engine';

/** Something that the author of a module was given, at the position of the record that says so. */
export interface Given extends Placed {
  readonly entry: ReplayEntry;
}

/** What an entry takes beside its text: an estimate. */
const ENTRY_BYTES = 64;

/** @param textBytes about what its names and values take */
export function givenAt(position: number, entry: ReplayEntry, textBytes: number): Given {
  return { position, entry, bytes: ENTRY_BYTES + textBytes };
}
