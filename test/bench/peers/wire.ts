/** The few forms of protobuf and gRPC that the load speaks: what it costs is not to be seen in the servers' figures. */

/** `value` is below 2^53. */
export function varint(value: number): Buffer {
  const bytes: number[] = [];
  while (value > 127) {
    bytes.push((value % 128) | 128);
    value = Math.floor(value / 128);
  }
  return Buffer.from([...bytes, value]);
}

export function bytesField(field: number, bytes: Buffer | string): Buffer {
  const content = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
  return Buffer.concat([varint((field << 3) | 2), varint(content.length), content]);
}

export function numberField(field: number, value: number): Buffer {
  return value === 0 ? Buffer.alloc(0) : Buffer.concat([varint(field << 3), varint(value)]);
}

/** A gRPC message: not compressed, then its length, then its bytes. */
export function framed(...parts: readonly Buffer[]): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(
    parts.reduce((sum, { length }) => sum + length, 0),
    1,
  );
  return Buffer.concat([head, ...parts]);
}

/** Goes over the fields of one message within a buffer. */
export class Fields {
  /** Of the field that `next` found: its number, its value where it is a number, and where its bytes are otherwise. */
  field = 0;
  value = 0;
  from = 0;
  to = 0;
  #at: number;

  constructor(
    readonly bytes: Buffer,
    from = 0,
    readonly end = bytes.length,
  ) {
    this.#at = from;
  }

  next(): boolean {
    if (this.#at >= this.end) return false;
    const tag = this.#varint();
    this.field = tag >>> 3;
    switch (tag & 7) {
      case 0:
        this.value = this.#varint();
        break;
      case 1:
        this.#skip(8);
        break;
      case 2:
        this.#skip(this.#varint());
        break;
      case 5:
        this.#skip(4);
        break;
      default:
        throw new Error(`no protobuf: tag ${tag}`);
    }
    return true;
  }

  /** The fields of the message that this field is. */
  inner(): Fields {
    return new Fields(this.bytes, this.from, this.to);
  }

  text(): string {
    return this.bytes.toString('utf8', this.from, this.to);
  }

  #skip(length: number): void {
    this.from = this.#at;
    this.to = this.#at += length;
    if (this.to > this.end) throw new Error('no protobuf: a field is longer than its message');
  }

  #varint(): number {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.bytes[this.#at++] ?? 0;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  }
}

/** Cuts what comes on a stream into gRPC messages. */
export class Messages {
  #rest: Buffer | undefined;

  take(data: Buffer, onMessage: (message: Buffer) => void): void {
    const bytes = this.#rest === undefined ? data : Buffer.concat([this.#rest, data]);
    let at = 0;
    while (bytes.length - at >= 5) {
      const end = at + 5 + bytes.readUInt32BE(at + 1);
      if (bytes.length < end) break;
      onMessage(bytes.subarray(at + 5, end));
      at = end;
    }
    this.#rest = at < bytes.length ? bytes.subarray(at) : undefined;
  }
}
