/**
 * Walks a protocol buffer that may be larger than memory: it reads what it is asked for and skips the
 * rest. The rules of the bytes are those of https://protobuf.dev/programming-guides/encoding/.
 */
import { CabstandError, show } from '@cabstand/core';

/** Bytes at a position, such as those of an open file. */
export interface Source {
  readonly size: number;
  /** Fills the start of `into` with the bytes at `position`; answers how many there were. */
  read(into: Uint8Array, position: number): Promise<number>;
}

/**
 * What to do with the fields of a message, by their numbers; the others are skipped. A field whose wire
 * type is another than that of the rule is skipped too, as protocol buffers demand.
 */
export interface Rules {
  readonly varints?: Readonly<Record<number, (value: number) => void>>;
  /** Strings and messages. The cursor is at the start of `length` bytes; what is not read is skipped. */
  readonly bytes?: Readonly<Record<number, (length: number) => Promise<void>>>;
  /** Fields after which nothing in the message matters. */
  readonly endAt?: ReadonlySet<number>;
}

/** The limit of Google's own readers, and so of ONNX Runtime. */
const MAX_DEPTH = 100;
/** Bytes decoded and objects kept, in bytes. Bytes skipped do not count. */
const MAX_STRUCTURE = 64 * 2 ** 20;
/** About what a string or an object takes beside its text. */
const KEPT = 16;
const MAX_TEXT = 65_536;
/** Bytes read after a jump; doubled while reading goes on from there. */
const SMALLEST_READ = 4_096;
const LARGEST_READ = 65_536;
/** A field's tag and its length or value: two varints of ten bytes at most. */
const HEADER = 20;

export class Cursor {
  readonly #source: Source;
  readonly #file: string;
  #position = 0;
  #window: Buffer = Buffer.alloc(0);
  #windowStart = 0;
  #nextRead = SMALLEST_READ;
  #depth = 0;
  #structure = 0;

  /** @param file named in errors. */
  constructor(source: Source, file: string) {
    this.#source = source;
    this.#file = file;
  }

  /** Walks the message in the next `length` bytes. */
  async message(length: number, { varints, bytes, endAt }: Rules): Promise<void> {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH)
      throw this.problem('more', `at most ${MAX_DEPTH} messages within one another`);
    const end = this.#position + length;
    while (this.#position < end) {
      const start = this.#position;
      await this.#hold(Math.min(HEADER, end - start));
      const tag = this.#varint(end);
      const field = Math.floor(tag / 8);
      if (field < 1 || field >= 2 ** 29) throw this.problem(field, 'the number of a field', start);
      switch (tag % 8) {
        case 0: {
          const value = this.#varint(end);
          varints?.[field]?.(value);
          this.#charge(this.#position - start);
          break;
        }
        case 1:
          this.#charge(this.#position - start);
          this.#position = this.#after(8, end);
          break;
        case 2: {
          const size = this.#varint(end);
          const next = this.#after(size, end);
          this.#charge(this.#position - start);
          await bytes?.[field]?.(size);
          this.#position = next;
          break;
        }
        case 5:
          this.#charge(this.#position - start);
          this.#position = this.#after(4, end);
          break;
        default:
          throw this.problem(`wire type ${tag % 8}`, 'wire type 0, 1, 2 or 5', start);
      }
      if (endAt?.has(field) === true) this.#position = end;
    }
    this.#depth -= 1;
  }

  /** The next `length` bytes as text. */
  async text(length: number): Promise<string> {
    if (length > MAX_TEXT) throw this.problem(length, `a name of at most ${MAX_TEXT} bytes`);
    return this.excerpt(length);
  }

  /** The next `length` bytes as text, cut at 64 KiB. */
  async excerpt(length: number): Promise<string> {
    const size = Math.min(length, MAX_TEXT);
    this.keep(size);
    await this.#hold(size);
    const from = this.#position - this.#windowStart;
    this.#position += size;
    return this.#window.toString('utf8', from, from + size);
  }

  /** Counts an object that is kept. */
  keep(bytes = 0): void {
    this.#charge(KEPT + bytes);
  }

  problem(got: unknown, expected: string, offset = this.#position): CabstandError {
    const shown = show(got);
    return new CabstandError(
      'MANIFEST_INVALID',
      `${this.#file}: not an ONNX file: at byte ${offset}: got ${shown}, expected ${expected}`,
      { metadata: { file: this.#file, offset: String(offset), value: shown, expected } },
    );
  }

  #charge(bytes: number): void {
    this.#structure += bytes;
    if (this.#structure > MAX_STRUCTURE)
      throw this.problem('more', `at most ${MAX_STRUCTURE} bytes beside the weights`);
  }

  /** The position after `size` bytes more, which must not lie beyond the message's end. */
  #after(size: number, end: number): number {
    if (size < 0 || size > end - this.#position)
      throw this.problem(
        size,
        `at most ${end - this.#position} bytes, which the ${end < this.#source.size ? 'message has left' : 'file has left: it seems cut off'}`,
      );
    return this.#position + size;
  }

  /** An int64; beyond 2^53 the nearest number. The bytes of the header are in the window. */
  #varint(end: number): number {
    const start = this.#position;
    let value = 0;
    for (let count = 0; count < 10 && this.#position < end; count += 1) {
      const byte = this.#window[this.#position - this.#windowStart] ?? 0;
      this.#position += 1;
      // Seven groups of seven bits fit into the 53 of a number.
      value += (byte & 0x7f) * 2 ** (7 * count);
      if (byte < 0x80) return count < 7 ? value : this.#longVarint(start);
    }
    throw this.problem('more', 'a number of at most ten bytes within its message', start);
  }

  #longVarint(start: number): number {
    const from = start - this.#windowStart;
    const bytes = this.#window.subarray(from, this.#position - this.#windowStart);
    const value = bytes.reduceRight((high, byte) => (high << 7n) | BigInt(byte & 0x7f), 0n);
    return Number(BigInt.asIntN(64, value));
  }

  /** Sees to it that the next `size` bytes are in the window. */
  async #hold(size: number): Promise<void> {
    const windowEnd = this.#windowStart + this.#window.length;
    if (this.#position >= this.#windowStart && this.#position + size <= windowEnd) return;
    const jumped = this.#position < this.#windowStart || this.#position > windowEnd;
    this.#nextRead = jumped ? SMALLEST_READ : Math.min(LARGEST_READ, this.#nextRead * 2);
    const wanted = Math.min(Math.max(size, this.#nextRead), this.#source.size - this.#position);
    const window = Buffer.alloc(wanted);
    let filled = 0;
    while (filled < wanted) {
      const count = await this.#source.read(window.subarray(filled), this.#position + filled);
      if (count === 0) throw this.problem('the end', `${this.#source.size} bytes`);
      filled += count;
    }
    this.#window = window;
    this.#windowStart = this.#position;
  }
}
