import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { UsageError } from '../errors';

/** What the header of a WAV file says. */
export interface WavInfo {
  readonly sampleRate: number;
  readonly channels: number;
  readonly encoding: WavEncoding;
  /** Samples of each channel. */
  readonly frames: number;
  readonly dataOffset: number;
}

type WavEncoding = 'u8' | 's16' | 's24' | 's32' | 'f32' | 'f64';

const BYTES: Readonly<Record<WavEncoding, number>> = {
  u8: 1,
  s16: 2,
  s24: 3,
  s32: 4,
  f32: 4,
  f64: 8,
};

const FORMAT_PCM = 1;
const FORMAT_FLOAT = 3;
const FORMAT_EXTENSIBLE = 0xfffe;
/** Writers that do not know the length beforehand (a pipe) leave this, or 0. */
const LENGTH_UNKNOWN = 0xffffffff;
const MOST_CHUNKS = 1000;
const MOST_CHANNELS = 32;
const FMT_BYTES = 40;

/** A WAV file whose samples are read in blocks: memory does not grow with its length. */
export class WavFile {
  readonly #file: FileHandle;
  readonly info: WavInfo;

  private constructor(file: FileHandle, info: WavInfo) {
    this.#file = file;
    this.info = info;
  }

  /** Throws a UsageError that names what is wrong with the file. */
  static async open(path: string): Promise<WavFile> {
    let file: FileHandle;
    try {
      file = await open(path, 'r');
    } catch (error) {
      throw new UsageError(
        `cannot read ${path}: ${(error as Error).message}`,
        'Name a WAV file that exists and may be read.',
        error,
      );
    }
    try {
      return new WavFile(file, await readHeader(file, path));
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  get seconds(): number {
    return this.info.frames / this.info.sampleRate;
  }

  /** All channels mixed into one, as float32 in [-1, 1], `blockFrames` at a time (the last is shorter). */
  async *mono(blockFrames: number): AsyncGenerator<Float32Array> {
    const { channels, encoding, frames, dataOffset } = this.info;
    const frameBytes = BYTES[encoding] * channels;
    for (let done = 0; done < frames; done += blockFrames) {
      const count = Math.min(blockFrames, frames - done);
      const block = Buffer.alloc(count * frameBytes);
      const { bytesRead } = await this.#file.read(
        block,
        0,
        block.length,
        dataOffset + done * frameBytes,
      );
      if (bytesRead < block.length)
        throw new UsageError('the WAV file became shorter while it was read');
      yield mixDown(block, encoding, channels);
    }
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

async function readHeader(file: FileHandle, path: string): Promise<WavInfo> {
  const size = (await file.stat()).size;
  const riff = await read(file, 0, 12);
  const tag = riff.toString('latin1', 0, 4);
  if (riff.length < 12 || tag !== 'RIFF' || riff.toString('latin1', 8, 12) !== 'WAVE')
    throw wrong(
      path,
      tag === 'RF64' || tag === 'RIFX'
        ? `${tag} files are not read`
        : 'it does not start with a RIFF/WAVE header',
    );
  let format: Pick<WavInfo, 'sampleRate' | 'channels' | 'encoding'> | undefined;
  let offset = 12;
  for (let chunk = 0; chunk < MOST_CHUNKS; chunk++) {
    const head = await read(file, offset, 8);
    if (head.length < 8) break;
    const id = head.toString('latin1', 0, 4);
    const length = head.readUInt32LE(4);
    offset += 8;
    if (id === 'fmt ')
      format = parseFormat(await read(file, offset, Math.min(length, FMT_BYTES)), path);
    if (id === 'data') {
      if (format === undefined) throw wrong(path, 'its "data" chunk comes before the "fmt " chunk');
      const unknown = length === LENGTH_UNKNOWN || (length === 0 && size > offset);
      if (!unknown && length > size - offset)
        throw wrong(
          path,
          `it is cut off: the header promises ${length} bytes of samples, ${size - offset} are there`,
        );
      const frameBytes = BYTES[format.encoding] * format.channels;
      const frames = Math.floor((unknown ? size - offset : length) / frameBytes);
      if (frames === 0) throw wrong(path, 'it holds no samples');
      return { ...format, frames, dataOffset: offset };
    }
    offset += length + (length % 2);
  }
  throw wrong(path, 'it has no "data" chunk');
}

function parseFormat(
  fmt: Buffer,
  path: string,
): Pick<WavInfo, 'sampleRate' | 'channels' | 'encoding'> {
  if (fmt.length < 16) throw wrong(path, 'its "fmt " chunk is too short');
  let tag = fmt.readUInt16LE(0);
  const channels = fmt.readUInt16LE(2);
  const sampleRate = fmt.readUInt32LE(4);
  const bits = fmt.readUInt16LE(14);
  // The real format is the first two bytes of the subformat's GUID.
  if (tag === FORMAT_EXTENSIBLE && fmt.length >= FMT_BYTES) tag = fmt.readUInt16LE(24);
  const encoding = encodingOf(tag, bits);
  if (encoding === undefined)
    throw wrong(path, `format ${tag} with ${bits} bits is not read (PCM and float are)`);
  if (channels < 1 || channels > MOST_CHANNELS)
    throw wrong(path, `it says it has ${channels} channels`);
  if (sampleRate === 0) throw wrong(path, 'it says its sample rate is 0');
  if (fmt.readUInt16LE(12) !== BYTES[encoding] * channels)
    throw wrong(
      path,
      `its block size ${fmt.readUInt16LE(12)} does not fit ${channels} × ${bits} bits`,
    );
  return { sampleRate, channels, encoding };
}

function encodingOf(tag: number, bits: number): WavEncoding | undefined {
  if (tag === FORMAT_FLOAT) return bits === 32 ? 'f32' : bits === 64 ? 'f64' : undefined;
  if (tag !== FORMAT_PCM) return undefined;
  return ({ 8: 'u8', 16: 's16', 24: 's24', 32: 's32' } as const)[bits as 8 | 16 | 24 | 32];
}

function mixDown(block: Buffer, encoding: WavEncoding, channels: number): Float32Array {
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
function clamp(value: number): number {
  return Math.min(1, Math.max(-1, value));
}

async function read(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await file.read(buffer, 0, length, offset);
  return buffer.subarray(0, bytesRead);
}

function wrong(path: string, what: string): UsageError {
  return new UsageError(
    `${path} is not a WAV file that can be read: ${what}`,
    'Convert it: ffmpeg -i INPUT -ac 1 -ar 16000 -c:a pcm_s16le OUTPUT.wav',
  );
}
