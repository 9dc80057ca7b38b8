/**
 * Snapshots of a module's sessions ↔ bytes. Behind the header that all kinds have:
 *
 *     u32 stateVersion | u32 chain | u32 point | u32 commands | u32 partsTaken | u32 random | u8 inputEnded
 *     u32 length | the author's state, as v8.serialize writes it
 */
import { deserialize, serialize } from 'node:v8';
import { CabstandError } from '@cabstand/core';
import { KINDS } from '@cabstand/model';
import { ByteReader, u32, unfit } from '../../snapshot/bytes';
import { SnapshotHeader } from '../../snapshot/header';
import type { Position } from '../../snapshot/header';
import { publicMessage } from './failure';
import { refusedPart } from './state-keys';

const NUMBERS_BYTES = 6 * 4 + 1;

export interface ModuleSnapshot {
  /** Undefined: the turn is over. */
  readonly position: Position | undefined;
  /** Of the code that made the state. */
  readonly stateVersion: number;
  /** CRC-32 over all records so far; 0 where none is kept. */
  readonly chain: number;
  /** Number of the author's next call. */
  readonly point: number;
  /** Commands below this number were applied. */
  readonly commands: number;
  /** Live parts below this number are in it. */
  readonly partsTaken: number;
  /** The last part is among them. */
  readonly inputEnded: boolean;
  /** State of the random numbers, u32. */
  readonly random: number;
  /** What the author wants to go on from. */
  readonly state: unknown;
}

export class ModuleSnapshotFormat {
  readonly #header: SnapshotHeader;
  readonly #stateBytes: number;
  /** No snapshot is larger, in bytes. */
  readonly largest: number;

  /**
   * @param digest `sha256:…` of the version's files
   * @param stateBytes most bytes of a serialized state
   */
  constructor(digest: string, stateBytes: number) {
    this.#header = new SnapshotHeader(KINDS.module.snapshotId, digest);
    this.#stateBytes = stateBytes;
    this.largest = this.#header.largest + NUMBERS_BYTES + 4 + stateBytes;
  }

  /**
   * @throws CabstandError MODULE_FAILED for a state that is no plain data, or is larger than the limit
   * (`problem: checkpoint_too_large`).
   */
  write(snapshot: ModuleSnapshot): Buffer {
    const { position, stateVersion, chain, point, commands, partsTaken, random } = snapshot;
    const state = serialized(snapshot.state);
    if (state.length > this.#stateBytes) throw tooLarge(state.length, this.#stateBytes);
    const numbers = Buffer.alloc(NUMBERS_BYTES);
    let at = 0;
    for (const value of [stateVersion, chain, point, commands, partsTaken, random])
      at = numbers.writeUInt32LE(value, at);
    numbers[at] = snapshot.inputEnded ? 1 : 0;
    return Buffer.concat([this.#header.write(position), numbers, u32(state.length), state]);
  }

  /**
   * Reads what `write` made, from bytes that may be anything. Typed arrays of the state may share memory
   * with `bytes`.
   *
   * @throws CabstandError CHECKPOINT_INVALID for anything that is not a snapshot of this module.
   */
  read(bytes: Uint8Array): ModuleSnapshot {
    if (bytes.length > this.largest)
      throw unfit('format', `${bytes.length} bytes, expected at most ${this.largest}`);
    const reader = new ByteReader(bytes);
    const position = this.#header.read(reader);
    const [stateVersion, chain, point] = [reader.u32(), reader.u32(), reader.u32()];
    const [commands, partsTaken] = [reader.u32(), reader.u32()];
    const [random, inputEnded] = [reader.u32(), reader.u8() === 1];
    const length = reader.u32();
    if (length > this.#stateBytes)
      throw unfit('state', `a state of ${length} bytes, expected at most ${this.#stateBytes}`);
    const state = reader.take(length);
    reader.end();
    const numbers = { stateVersion, chain, point, commands, partsTaken, random };
    return { position, ...numbers, inputEnded, state: parsed(state) };
  }
}

function serialized(state: unknown): Buffer {
  try {
    return serialize(state);
  } catch (cause) {
    const part = refusedPart(state);
    const why = part === undefined ? publicMessage(cause) : `${part.key} is a ${part.what}`;
    throw new CabstandError('MODULE_FAILED', `the state cannot be kept: ${why}`, {
      cause,
      metadata: { problem: 'threw' },
    });
  }
}

function tooLarge(bytes: number, most: number): CabstandError {
  return new CabstandError(
    'MODULE_FAILED',
    `the state of ctx.checkpoint() has ${bytes} bytes, limits.state_bytes allows ${most}`,
    { metadata: { problem: 'checkpoint_too_large', bytes: String(bytes) } },
  );
}

function parsed(bytes: Buffer): unknown {
  try {
    return deserialize(bytes);
  } catch {
    throw unfit('state', 'the state is damaged');
  }
}
