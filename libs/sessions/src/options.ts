import { MIB, MOST_BYTES, MOST_COUNT, MOST_MS, withinLimits } from '@cabstand/core';
import type { Limit } from '@cabstand/core';

/** Limits of the session core; all are exported as metrics. */
export interface SessionOptions {
  /** Most records of a session that are kept or that the engine may run ahead. Default 256. */
  readonly journalRecords?: number;
  /** Most bytes of them. Default 4 MiB. */
  readonly journalBytes?: number;
  /** Commands whose records are kept beyond that, so that they reach a module whose reader is behind. Default 64. */
  readonly journalCommands?: number;
  /** Most bytes of their records; those of one command are always let in. Default 1 MiB. */
  readonly journalCommandBytes?: number;
  /** Largest record that can be sent, in bytes. Default 16 MiB. */
  readonly messageBytes?: number;
  /** Most parts of live input that wait for the engine, per session. Default 1024. */
  readonly liveParts?: number;
  /** Most bytes of them. Default 16 MiB. */
  readonly liveBytes?: number;
  /** Most sessions open at once, idle ones too, over all models. Default 16,384. */
  readonly maxSessions?: number;
  /** Most sessions (orphans and idle ones too) of one principal, and no more than `maxSessions`. Default 16,384. */
  readonly maxSessionsPerPrincipal?: number;
  /** Bytes that all sessions may hold: themselves, journals, and what they keep of state and input. Default 4 GiB. */
  readonly maxHeldBytes?: number;
  /** Share of a model's slots that only resumed sessions may use, from 0 to 0.9. Default 0.05. */
  readonly resumeHeadroom?: number;
  /** Sessions that may wait for a slot; 0: a full hoster refuses at once. Default 0. */
  readonly queueLength?: number;
  /** Longest such wait in milliseconds. Default 10,000. */
  readonly queueWaitMs?: number;
  /** A durable session that lost its consumer within a turn ends after this. Default 60,000. */
  readonly orphanTimeoutMs?: number;
  /** One that has the only slot of its model ends after this where somebody wants the slot. Default 10,000. */
  readonly orphanMinMs?: number;
  /** A kept or durable session between turns ends after this. Default 300,000. */
  readonly idleTimeoutMs?: number;
  /** A live turn that waits for input while its reader is there ends after this. Default 300,000. */
  readonly liveIdleTimeoutMs?: number;
  /** Most that watch one session besides its consumer. Default 16. */
  readonly viewers?: number;
  /** Bytes of the newest records kept of a session for those who watch it. Default 1 MiB. */
  readonly viewerBytes?: number;
  /** Highest priority of callers that are no admins, 0 to 9; theirs is lowered to it. Default 4. */
  readonly maxPriority?: number;
  /** How long a closed session's last records may take to be read. Default 10,000. */
  readonly closeTimeoutMs?: number;
  /** Within a turn, snapshots are so close that a replay takes at most this long. Default 250. */
  readonly replayMs?: number;
  /** Most records between two snapshots of a turn. Default 256. */
  readonly snapshotRecords?: number;
  /** A slow stream gets a snapshot as often as this, if a replay would take any time. Default 250. */
  readonly snapshotMs?: number;
  /** How long a durable session waits for its engine to come back. Default 10,000. */
  readonly rebuildMs?: number;
  /** How long a session that moves waits for its last snapshot. Default 2,000. */
  readonly freezeMs?: number;
  /** Durable sessions that are asked to move in a second, when the hoster drains. Default 25. */
  readonly movesPerSecond?: number;
  /** Ended sessions whose reason is remembered. Default 10,000. */
  readonly endedRemembered?: number;
}

export type SessionOptionsWithDefaults = Required<SessionOptions>;

export const SESSION_LIMITS: Readonly<Record<keyof SessionOptions, Limit>> = {
  journalRecords: [256, 1, MOST_COUNT],
  journalBytes: [4 * MIB, 1, MOST_BYTES],
  journalCommands: [64, 1, MOST_COUNT],
  journalCommandBytes: [MIB, 1, MOST_BYTES],
  messageBytes: [16 * MIB, 1, MOST_BYTES],
  liveParts: [1024, 1, MOST_COUNT],
  liveBytes: [16 * MIB, 1, MOST_BYTES],
  maxSessions: [16_384, 1, MOST_COUNT],
  maxSessionsPerPrincipal: [16_384, 1, MOST_COUNT],
  maxHeldBytes: [4096 * MIB, 1, MOST_BYTES],
  resumeHeadroom: [0.05, 0, 0.9, 'share'],
  queueLength: [0, 0, 100_000],
  queueWaitMs: [10_000, 1, MOST_MS],
  orphanTimeoutMs: [60_000, 1, MOST_MS],
  orphanMinMs: [10_000, 0, MOST_MS],
  idleTimeoutMs: [300_000, 1, MOST_MS],
  liveIdleTimeoutMs: [300_000, 1, MOST_MS],
  viewers: [16, 0, 10_000],
  viewerBytes: [MIB, 1, MOST_BYTES],
  maxPriority: [4, 0, 9],
  closeTimeoutMs: [10_000, 1, MOST_MS],
  replayMs: [250, 1, MOST_MS],
  snapshotRecords: [256, 1, MOST_COUNT],
  snapshotMs: [250, 1, MOST_MS],
  rebuildMs: [10_000, 1, MOST_MS],
  // Only tests set this one: the configuration has no key for it.
  freezeMs: [2000, 1, MOST_MS],
  movesPerSecond: [25, 1, MOST_COUNT],
  endedRemembered: [10_000, 1, MOST_COUNT],
};

/** Fills in the defaults and checks every number. Throws INVALID_ARGUMENT naming option and value. */
export function withDefaults(options: SessionOptions = {}): SessionOptionsWithDefaults {
  return withinLimits(SESSION_LIMITS, options);
}
