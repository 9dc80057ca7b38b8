export interface WavParts {
  readonly format?: number;
  readonly channels?: number;
  readonly sampleRate?: number;
  readonly bits?: number;
  readonly data: Buffer;
  /** What the header says; default: the truth. */
  readonly dataLength?: number;
  /** Chunks before `fmt `. */
  readonly before?: Buffer;
  readonly extensible?: boolean;
}

/** A WAV file, right or wrong. */
export function wavBytes(parts: WavParts): Buffer {
  const { format = 1, channels = 1, sampleRate = 16000, bits = 16, data } = parts;
  const fmt = Buffer.alloc(parts.extensible === true ? 40 : 16);
  fmt.writeUInt16LE(parts.extensible === true ? 0xfffe : format, 0);
  fmt.writeUInt16LE(channels, 2);
  fmt.writeUInt32LE(sampleRate, 4);
  fmt.writeUInt32LE((sampleRate * channels * bits) / 8, 8);
  fmt.writeUInt16LE((channels * bits) / 8, 12);
  fmt.writeUInt16LE(bits, 14);
  if (parts.extensible === true) fmt.writeUInt16LE(format, 24);
  const body = Buffer.concat([
    Buffer.from('WAVE'),
    parts.before ?? Buffer.alloc(0),
    chunk('fmt ', fmt),
    chunk('data', data, parts.dataLength),
  ]);
  return chunk('RIFF', body);
}

export function chunk(id: string, body: Buffer, length = body.length): Buffer {
  const head = Buffer.alloc(8);
  head.write(id, 'latin1');
  head.writeUInt32LE(length, 4);
  const padding = Buffer.alloc(body.length % 2);
  return Buffer.concat([head, body, padding]);
}
