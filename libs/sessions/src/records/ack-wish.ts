import type { SessionTraits } from '@cabstand/model';
import type { ServedModel } from '../engine/engine';
import type { SessionOptionsWithDefaults } from '../options';

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
  model: Sizes,
): AckWish {
  const records = atLeastOne(options.journalRecords * SHARE);
  const bytes = atLeastOne(options.journalBytes * SHARE);
  const every = Math.min(records, atLeastOne(bytes / largestRecord(model)));
  return { every, records, bytes };
}

type Sizes = Pick<ServedModel, 'outputs'> & {
  readonly signature: { readonly sessions: SaidInJson | undefined };
};
type SaidInJson = Pick<SessionTraits, 'commandBytes' | 'resultBytes' | 'messageBytes'>;

/** Infinity where only a run tells. */
function largestRecord({ outputs, signature: { sessions } }: Sizes): number {
  const { commandBytes = 0, resultBytes = 0, messageBytes = 0 } = sessions ?? {};
  return Math.max(largestChunk(outputs), commandBytes, resultBytes, messageBytes);
}

function largestChunk(outputs: ServedModel['outputs']): number {
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
