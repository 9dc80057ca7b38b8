/** Records of the journal as doors give them. */
import { CabstandError, toReason } from '@cabstand/core';
import type { ServedEndReason, ServedRecord } from '@cabstand/doors';
import { codecs, generationFromWire } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import type { JournalEntry } from '@cabstand/sessions';
import { fromWire } from '@cabstand/tensor';

/** @param chunks of the turn that came before; undefined for what only sessions need. */
export function servedRecord(entry: JournalEntry, chunks: number): ServedRecord | undefined {
  if (entry.kind === 'input') return undefined;
  const { record } = codecs.InferenceStreamResponse.decode(entry.bytes);
  const { position } = entry;
  if (record?.chunk) {
    const { outputs, text } = record.chunk;
    return { kind: 'chunk', position, index: chunks, text, tensors: outputs.map(fromWire) };
  }
  if (record?.message) {
    const { name, json } = record.message;
    return { kind: 'message', position, name, json };
  }
  if (!record?.end_of_turn) return undefined;
  const { reason, steps, note, error, generation } = record.end_of_turn;
  const ended = reason.replace('END_REASON_', '').toLowerCase() as ServedEndReason;
  return {
    ...{ kind: 'end', position, reason: ended, steps, note, error: errorOf(error) },
    generation: generation === null ? undefined : generationFromWire(generation),
  };
}

function errorOf(wire: v1.ErrorDetail__Output | null): CabstandError | undefined {
  if (wire === null || wire.reason === '') return undefined;
  const { reason, message, metadata } = wire;
  return new CabstandError(toReason(reason), message, { metadata });
}
