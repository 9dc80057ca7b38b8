export type WavEncoding = 'u8' | 's16' | 's24' | 's32' | 'f32' | 'f64';

const BYTES: Readonly<Record<WavEncoding, number>> = {
  u8: 1,
  s16: 2,
  s24: 3,
  s32: 4,
  f32: 4,
  f64: 8,
};

/** Bytes of one sample of each channel. */
export function frameBytesOf(format: {
  readonly encoding: WavEncoding;
  readonly channels: number;
}): number {
  return BYTES[format.encoding] * format.channels;
}

/** The mean of the channels, as float32 in [-1, 1]. */
export function mixDown(block: Buffer, encoding: WavEncoding, channels: number): Float32Array {
  const bytes = BYTES[encoding];
  const sample = READERS[encoding];
  const count = block.length / bytes / channels;
  const out = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    let sum = 0;
    for (let c = 0; c < channels; c++) sum += sample(block, (i * channels + c) * bytes);
    out[i] = sum / channels;
  }
  return out;
}

const READERS: Readonly<Record<WavEncoding, (block: Buffer, offset: number) => number>> = {
  u8: (block, offset) => (block.readUInt8(offset) - 128) / 128,
  s16: (block, offset) => block.readInt16LE(offset) / 32768,
  s24: (block, offset) => block.readIntLE(offset, 3) / 8388608,
  s32: (block, offset) => block.readInt32LE(offset) / 2147483648,
  f32: (block, offset) => clamp(block.readFloatLE(offset)),
  f64: (block, offset) => clamp(block.readDoubleLE(offset)),
};

/** Floating-point recordings may overshoot a little; a player would clip them too. */
export function clamp(value: number): number {
  return Math.min(1, Math.max(-1, value));
}
