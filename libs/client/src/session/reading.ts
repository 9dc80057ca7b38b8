import type { RecordEvent } from '../protocol/events';
import { Chunk } from './chunk';
import { inputBytes } from './input';

/** What the reader of a turn is given of a record; undefined for one that it only passes on its way. */
export type Reading<T> = (record: RecordEvent, chunksBefore: number) => T | undefined;

/** The output, as applications read it. */
export const chunksOnly: Reading<Chunk> = (record, chunksBefore) =>
  record.body === 'chunk' ? new Chunk(record, chunksBefore) : undefined;

/** Everything, the end too, for those who pass a turn on. */
export const allRecords: Reading<RecordEvent> = (record) => record;

/** About the bytes of a record that may be large, and of the checkpoint that it carries, for windows. */
export function recordBytes(record: RecordEvent): number {
  return bodyBytes(record) + (record.sealed?.sealed.byteLength ?? 0);
}

function bodyBytes(record: RecordEvent): number {
  switch (record.body) {
    case 'chunk':
      return inputBytes(record.tensors) + record.text.length;
    case 'command':
      return record.arguments.length;
    case 'recorded':
      return record.json.length;
    default:
      return 0;
  }
}
