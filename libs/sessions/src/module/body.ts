/** Reads the bodies of a module's records as far as the hoster has to know them: session.proto. */
import { CabstandError } from '@cabstand/core';

/** Of a command from beside the consumer: it has no place among those that are counted. */
export const UNNUMBERED = -1;

/** Numbers of bodies in cabstand.v1.Record. */
export const Field = {
  chunk: 4,
  applied: 5,
  input: 6,
  message: 8,
  result: 9,
  recorded: 10,
} as const;

/** A command took effect. */
export interface Applied {
  readonly number: number;
  readonly name: string;
  /** JSON text. */
  readonly arguments: string;
}

/** How a command ended: a value as JSON text, or an error. */
export interface Outcome {
  readonly value?: string;
  readonly error?: {
    readonly reason: string;
    readonly message: string;
    readonly metadata: Readonly<Record<string, string>>;
  };
}

export function readApplied(body: Buffer): Applied {
  const fields = new Fields(body);
  return { number: fields.count(1), name: fields.text(2), arguments: fields.text(3) };
}

/** Number of the part. */
export function readInput(body: Buffer): number {
  return new Fields(body).count(1);
}

export function readRecorded(body: Buffer): { readonly name: string; readonly json: string } {
  const fields = new Fields(body);
  return { name: fields.text(1), json: fields.text(2) };
}

export function readResult(body: Buffer): { readonly number: number; readonly outcome: Outcome } {
  const fields = new Fields(body);
  const [error] = fields.all(3);
  return {
    number: fields.count(1),
    outcome: error === undefined ? { value: fields.text(2) } : { error: readError(error) },
  };
}

function readError(body: Buffer): NonNullable<Outcome['error']> {
  const fields = new Fields(body);
  const metadata = fields.all(3).map((entry) => {
    const pair = new Fields(entry);
    return [pair.text(1), pair.text(2)] as const;
  });
  return {
    reason: fields.text(1),
    message: fields.text(2),
    metadata: Object.fromEntries(metadata),
  };
}

/** The fields of a message that has counts and length-delimited fields alone. */
class Fields {
  readonly #counts = new Map<number, number>();
  readonly #bytes = new Map<number, Buffer[]>();

  constructor(message: Buffer) {
    let at = 0;
    const varint = (): number => {
      let value = 0;
      for (let scale = 1; ; scale *= 128) {
        const byte = message[at++];
        if (byte === undefined || scale > 2 ** 63) throw malformed();
        value += (byte & 0x7f) * scale;
        // Ten bytes: the two's complement of a number below zero, of which there is but one.
        if (byte < 0x80) return scale > 2 ** 49 ? UNNUMBERED : value;
      }
    };
    while (at < message.length) {
      const tag = varint();
      const field = Math.floor(tag / 8);
      if (tag % 8 === 0) this.#counts.set(field, varint());
      else if (tag % 8 === 2) {
        const end = varint() + at;
        if (end > message.length) throw malformed();
        this.#bytes.set(field, [...this.all(field), message.subarray(at, end)]);
        at = end;
      } else throw malformed();
    }
  }

  count(field: number): number {
    return this.#counts.get(field) ?? 0;
  }

  text(field: number): string {
    return this.all(field).at(-1)?.toString('utf8') ?? '';
  }

  all(field: number): readonly Buffer[] {
    return this.#bytes.get(field) ?? [];
  }
}

function malformed(): CabstandError {
  return new CabstandError('INTERNAL', 'a record of the engine cannot be read');
}
