import { codecs } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import type { JournalEntry } from '../types';

/** By entry: the same bytes serve all viewers. */
const made = new WeakMap<JournalEntry, JournalEntry>();

/**
 * The record as somebody may see it who only watches: without checkpoints, the arguments and results of
 * commands, and what a module recorded, all of which are the consumer's.
 */
export function forViewers(entry: JournalEntry): JournalEntry {
  if (entry.confidential !== true) return entry;
  const known = made.get(entry);
  if (known !== undefined) return known;
  const { record } = codecs.SessionStreamResponse.decode(entry.bytes);
  const bytes = codecs.SessionStreamResponse.encode({
    record: record ? withoutSecrets(record) : null,
  });
  const shown = { ...entry, bytes };
  made.set(entry, shown);
  return shown;
}

function withoutSecrets(record: v1.Record__Output): v1.Record {
  const { applied, result, recorded, end_of_turn: end } = record;
  const shown = { ...record, checkpoint: null };
  if (applied) return { ...shown, applied: { sequence: applied.sequence, name: applied.name } };
  if (result) {
    const { sequence, error } = result;
    // The message may name the arguments.
    return {
      ...shown,
      result: error ? { sequence, error: { reason: error.reason } } : { sequence },
    };
  }
  if (recorded) return { ...shown, recorded: { name: recorded.name } };
  if (end) return { ...shown, end_of_turn: { ...end, checkpoint: null } };
  return shown;
}
