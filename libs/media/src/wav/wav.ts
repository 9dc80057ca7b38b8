import { invalid } from '@cabstand/core';
import { readHeader, wrong } from './header';
import type { WavInfo } from './header';
import { frameBytesOf, mixDown } from './samples';
import { bytesSource, fileSource } from './source';
import type { WavSource } from './source';

/** A WAV file or its bytes. Samples are read in blocks: memory does not grow with its length. */
export class Wav {
  readonly #source: WavSource;
  readonly info: WavInfo;

  private constructor(source: WavSource, info: WavInfo) {
    this.#source = source;
    this.info = info;
  }

  /**
   * Opens a file by its path, or the bytes of one. PCM of 8, 16, 24 and 32 bits and float of 32 and 64
   * are read. Close it when done. Throws INVALID_ARGUMENT, saying what is wrong with it.
   */
  static async open(from: string | Uint8Array): Promise<Wav> {
    if (typeof from !== 'string' && !(from instanceof Uint8Array))
      throw invalid('INVALID_ARGUMENT', 'source', from, 'the path of a WAV file, or its bytes');
    const source = typeof from === 'string' ? await fileSource(from) : bytesSource(from);
    try {
      return new Wav(source, await readHeader(source));
    } catch (error) {
      await source.close();
      throw error;
    }
  }

  get seconds(): number {
    return this.info.frames / this.info.sampleRate;
  }

  /** All channels mixed into one, as float32 in [-1, 1], `blockFrames` at a time (the last is shorter). */
  async *mono(blockFrames: number): AsyncGenerator<Float32Array> {
    const { channels, encoding, frames, dataOffset } = this.info;
    const frameBytes = frameBytesOf(this.info);
    for (let done = 0; done < frames; done += blockFrames) {
      const count = Math.min(blockFrames, frames - done);
      const block = await this.#source.read(dataOffset + done * frameBytes, count * frameBytes);
      if (block.length < count * frameBytes)
        throw wrong(this.#source.name, 'it became shorter while it was read');
      yield mixDown(block, encoding, channels);
    }
  }

  close(): Promise<void> {
    return this.#source.close();
  }
}
