import { CabstandError } from '@cabstand/core';
import { frameBytesOf } from './samples';
import type { WavEncoding } from './samples';
import type { WavSource } from './source';

/** What the header of a WAV file says: http://soundfile.sapp.org/doc/WaveFormat/ */
export interface WavInfo extends WavFormat {
  /** Samples of each channel. */
  readonly frames: number;
  readonly dataOffset: number;
}

interface WavFormat {
  readonly sampleRate: number;
  readonly channels: number;
  readonly encoding: WavEncoding;
}

const FORMAT_PCM = 1;
const FORMAT_FLOAT = 3;
const FORMAT_EXTENSIBLE = 0xfffe;
/** Writers that do not know the length beforehand (a pipe) leave this, or 0. */
const LENGTH_UNKNOWN = 0xffffffff;
const MOST_CHUNKS = 1000;
const MOST_CHANNELS = 32;
const FMT_BYTES = 40;

/** Throws INVALID_ARGUMENT, saying what is wrong with the file. */
export async function readHeader(source: WavSource): Promise<WavInfo> {
  const { size, name } = source;
  const riff = await source.read(0, 12);
  const tag = riff.toString('latin1', 0, 4);
  if (riff.length < 12 || tag !== 'RIFF' || riff.toString('latin1', 8, 12) !== 'WAVE')
    throw wrong(
      name,
      tag === 'RF64' || tag === 'RIFX'
        ? `${tag} files are not read`
        : 'it does not start with a RIFF/WAVE header',
    );
  let format: WavFormat | undefined;
  let offset = 12;
  for (let chunk = 0; chunk < MOST_CHUNKS; chunk++) {
    const head = await source.read(offset, 8);
    if (head.length < 8) break;
    const id = head.toString('latin1', 0, 4);
    const length = head.readUInt32LE(4);
    offset += 8;
    if (id === 'fmt ')
      format = parseFormat(await source.read(offset, Math.min(length, FMT_BYTES)), name);
    if (id === 'data') {
      if (format === undefined) throw wrong(name, 'its "data" chunk comes before the "fmt " chunk');
      const unknown = length === LENGTH_UNKNOWN || (length === 0 && size > offset);
      if (!unknown && length > size - offset)
        throw wrong(
          name,
          `it is cut off: the header promises ${length} bytes of samples, ${size - offset} are there`,
        );
      const frames = Math.floor((unknown ? size - offset : length) / frameBytesOf(format));
      if (frames === 0) throw wrong(name, 'it holds no samples');
      return { ...format, frames, dataOffset: offset };
    }
    offset += length + (length % 2);
  }
  throw wrong(name, 'it has no "data" chunk');
}

function parseFormat(fmt: Buffer, name: string): WavFormat {
  if (fmt.length < 16) throw wrong(name, 'its "fmt " chunk is too short');
  let tag = fmt.readUInt16LE(0);
  const channels = fmt.readUInt16LE(2);
  const sampleRate = fmt.readUInt32LE(4);
  const bits = fmt.readUInt16LE(14);
  // The real format is the first two bytes of the subformat's GUID.
  if (tag === FORMAT_EXTENSIBLE && fmt.length >= FMT_BYTES) tag = fmt.readUInt16LE(24);
  const encoding = encodingOf(tag, bits);
  if (encoding === undefined)
    throw wrong(name, `format ${tag} with ${bits} bits is not read (PCM and float are)`);
  if (channels < 1 || channels > MOST_CHANNELS)
    throw wrong(name, `it says it has ${channels} channels`);
  if (sampleRate === 0) throw wrong(name, 'it says its sample rate is 0');
  const format = { sampleRate, channels, encoding };
  if (fmt.readUInt16LE(12) !== frameBytesOf(format))
    throw wrong(
      name,
      `its block size ${fmt.readUInt16LE(12)} does not fit ${channels} × ${bits} bits`,
    );
  return format;
}

function encodingOf(tag: number, bits: number): WavEncoding | undefined {
  if (tag === FORMAT_FLOAT) return bits === 32 ? 'f32' : bits === 64 ? 'f64' : undefined;
  if (tag !== FORMAT_PCM) return undefined;
  return ({ 8: 'u8', 16: 's16', 24: 's24', 32: 's32' } as const)[bits as 8 | 16 | 24 | 32];
}

/** The error for what is no WAV file, with the way to make one. */
export function wrong(name: string, what: string): CabstandError {
  return new CabstandError(
    'INVALID_ARGUMENT',
    `${name} is not a WAV file that can be read: ${what}. ` +
      'Convert it: ffmpeg -i INPUT -ac 1 -ar 16000 -c:a pcm_s16le OUTPUT.wav',
  );
}
