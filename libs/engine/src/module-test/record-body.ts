/** What is in a module's record, for whoever compares records and reports of them. */
import { RecordField } from '../frames/module-frames';
import type { RecordItem, ReplayEntry } from '../frames/module-frames';
import { decodeChunk, fieldsOf } from '../verify/decode-chunk';
import type { DecodedChunk } from '../verify/decode-chunk';

export type Body =
  | { readonly kind: 'frame'; readonly chunk: DecodedChunk }
  | {
      readonly kind: 'command';
      readonly number: number;
      readonly name: string;
      readonly arguments: string;
    }
  | { readonly kind: 'part'; readonly part: number }
  | { readonly kind: 'message' | 'value'; readonly name: string; readonly json: string }
  | { readonly kind: 'result'; readonly number: number; readonly json: string }
  | {
      readonly kind: 'refused';
      readonly number: number;
      readonly reason: string;
      readonly message: string;
    };

/** Proto3 leaves zeros and empty texts out. */
class Fields {
  readonly #values = new Map<number, Buffer | number>();

  constructor(body: Buffer) {
    for (const { field, value } of fieldsOf(body)) this.#values.set(field, value);
  }

  number(field: number): number {
    const value = this.#values.get(field);
    return typeof value === 'number' ? value : 0;
  }

  bytes(field: number): Buffer | undefined {
    const value = this.#values.get(field);
    return typeof value === 'number' ? undefined : value;
  }

  text(field: number): string {
    return this.bytes(field)?.toString() ?? '';
  }
}

export function bodyOf({ field, body }: RecordItem): Body {
  if (field === RecordField.chunk) return { kind: 'frame', chunk: decodeChunk(body) };
  const fields = new Fields(body);
  const number = fields.number(1);
  switch (field) {
    case RecordField.applied:
      return { kind: 'command', number, name: fields.text(2), arguments: fields.text(3) };
    case RecordField.input:
      return { kind: 'part', part: number };
    case RecordField.message:
      return { kind: 'message', name: fields.text(1), json: fields.text(2) };
    case RecordField.recorded:
      return { kind: 'value', name: fields.text(1), json: fields.text(2) };
    default: {
      const error = fields.bytes(3);
      if (error === undefined) return { kind: 'result', number, json: fields.text(2) };
      const detail = new Fields(error);
      return { kind: 'refused', number, reason: detail.text(1), message: detail.text(2) };
    }
  }
}

/** What the author was given in these records. */
export function entriesOf(records: readonly RecordItem[]): ReplayEntry[] {
  return records.flatMap((record): ReplayEntry[] => {
    const { point } = record;
    // Frames are large, and nothing was given in them.
    if (record.field === RecordField.chunk) return [];
    const body = bodyOf(record);
    if (body.kind === 'command')
      return [
        { kind: 'command', number: body.number, name: body.name, arguments: body.arguments, point },
      ];
    if (body.kind === 'part') return [{ kind: 'part', part: body.part, point }];
    if (body.kind === 'value') return [{ kind: 'value', name: body.name, json: body.json, point }];
    return [];
  });
}
