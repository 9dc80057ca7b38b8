/** A session's state at a position, and how it is written into a checkpoint. */
import { z } from 'zod';
import { CabstandError } from '@cabstand/core';
import type { LiveStart } from '../input/live-input';

/** Engines that died of what may be this session's turn. */
export interface Deaths {
  /** The position whose computing they did not survive. */
  readonly position: number;
  readonly count: number;
}

/** With what came since, enough to go on in another engine. */
export interface CheckpointBody {
  /** Position of the next record. */
  readonly position: number;
  /** The turn that runs, or ended last; -1 before the first. */
  readonly turn: number;
  readonly ended: boolean;
  /** Of the turn's content; empty before the first turn. */
  readonly digest: string;
  /** Where the turn began. */
  readonly firstPosition: number;
  /** Live parts below this number are in `data`. */
  readonly parts: number;
  /** Live parts below this number have their record. */
  readonly reported: number;
  readonly deaths: Deaths | undefined;
  /** Of a module: commands below this number took effect. */
  readonly commands: number;
  /** The engine's snapshot; empty for the state of a new sequence. */
  readonly data: Buffer;
}

/** A session that has not begun. */
export const FRESH: CheckpointBody = {
  position: 0,
  turn: -1,
  ended: true,
  digest: '',
  firstPosition: 0,
  parts: 0,
  reported: 0,
  deaths: undefined,
  commands: 0,
  data: Buffer.alloc(0),
};

/** Where the numbering of live parts goes on in a turn that begins at a state within it. */
export const liveStart = ({ parts, reported }: CheckpointBody): LiveStart => ({
  next: parts,
  reported,
});

const VERSION = 1;
const count = z.int().min(0);
const headerSchema = z.strictObject({
  version: z.literal(VERSION),
  turn: z.int().min(-1),
  ended: z.boolean(),
  digest: z.string().max(128),
  first: count,
  parts: count,
  reported: count,
  deaths: z.strictObject({ position: count, count }).optional(),
  commands: count.optional(),
});

/** `u32 length | JSON header | snapshot`, in pieces. The position is what the seal binds it to. */
export function encodeState(state: CheckpointBody): Buffer[] {
  const {
    turn,
    ended,
    digest,
    firstPosition: first,
    parts,
    reported,
    deaths,
    commands,
    data,
  } = state;
  const fields: z.infer<typeof headerSchema> = {
    version: VERSION,
    ...{ turn, ended, digest, first, parts, reported },
    ...(deaths === undefined ? {} : { deaths }),
    ...(commands === 0 ? {} : { commands }),
  };
  const header = Buffer.from(JSON.stringify(fields), 'utf8');
  const size = Buffer.alloc(4);
  size.writeUInt32LE(header.byteLength);
  return [size, header, data];
}

/**
 * Bytes that are kept for as long as a session does nothing, in memory that holds little else. A small Buffer
 * from Node's pool would keep all 8 KiB that it is a part of.
 */
export function inOwnMemory(bytes: Buffer): Buffer {
  if (2 * bytes.byteLength > bytes.buffer.byteLength) return bytes;
  const copy = Buffer.allocUnsafeSlow(bytes.byteLength);
  bytes.copy(copy);
  return copy;
}

/** Throws CHECKPOINT_INVALID for what another version has written. */
export function decodeState(bytes: Buffer, position: number): CheckpointBody {
  try {
    const size = bytes.readUInt32LE(0);
    const header = headerSchema.parse(JSON.parse(bytes.toString('utf8', 4, 4 + size)));
    const { first: firstPosition, deaths, commands = 0, version: _, ...rest } = header;
    const data = inOwnMemory(bytes.subarray(4 + size));
    return { position, ...rest, firstPosition, deaths, commands, data };
  } catch (cause) {
    throw new CabstandError(
      'CHECKPOINT_INVALID',
      'the checkpoint is not good here: another version of the hoster made it',
      { metadata: { problem: 'other_version' }, cause },
    );
  }
}
