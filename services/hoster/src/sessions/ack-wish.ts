import type { ServedModel } from '../engines/contract';
import type { SessionOptionsWithDefaults } from './options';

/** How often the consumer of a durable session should acknowledge. */
export interface AckWish {
  /** Records, for one that counts nothing else. */
  readonly every: number;
  /** Records or bytes, whichever comes first, for one that adds up both. */
  readonly records: number;
  readonly bytes: number;
}

/** Acknowledgements are wanted when this share of the journal is full. */
const SHARE = 1 / 4;
/** More than the names, the shapes and the header of a record take. */
const AROUND_BYTES = 1024;

/**
 * Acknowledgements so often that the journal is never full of records that a consumer has and does not
 * acknowledge yet. One that counts records only must do so after each where their size is not known
 * beforehand.
 */
export function ackWish(
  options: Pick<SessionOptionsWithDefaults, 'journalRecords' | 'journalBytes'>,
  model: Pick<ServedModel, 'outputs'>,
): AckWish {
  const records = atLeastOne(options.journalRecords * SHARE);
  const bytes = atLeastOne(options.journalBytes * SHARE);
  const every = Math.min(records, atLeastOne(bytes / largestRecord(model)));
  return { every, records, bytes };
}

/** Infinity where only a run tells. */
function largestRecord({ outputs }: Pick<ServedModel, 'outputs'>): number {
  let bytes = AROUND_BYTES;
  for (const { dtype, shape } of outputs) {
    if (dtype === 'string' || shape.some((size) => size < 0)) return Infinity;
    bytes += MOST_ELEMENT_BYTES * shape.reduce((product, size) => product * size, 1);
  }
  return bytes;
}

const MOST_ELEMENT_BYTES = 8;

function atLeastOne(number: number): number {
  return Math.max(1, Math.floor(number));
}
