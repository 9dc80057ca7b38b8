import { createSecretKey, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { NAME, readJson, validityOf } from '@cabstand/auth';
import type { SealKey } from '@cabstand/auth';
import { invalid, systemClock } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import { z } from 'zod';
import { FilePlan, subnetPaths, toJson } from './subnet-files';

const keySchema = z.looseObject({
  kty: z.literal('oct'),
  kid: z.string().regex(NAME, 'expected 1 to 128 of A-Z a-z 0-9 . _ @ : -').max(64),
  k: z.string().regex(/^[A-Za-z0-9_-]{43}$/, 'expected 32 bytes in base64url'),
  not_before: z.iso.datetime({ offset: true }).optional(),
  not_after: z.iso.datetime({ offset: true }).optional(),
});

/** `seal.key.json`: symmetric JSON Web Keys, newest last. The last one whose time has come seals, all of them open. */
const fileSchema = z.looseObject({ keys: z.array(keySchema).min(1).max(100) });

type SealKeyFile = z.infer<typeof fileSchema>;

const KEY_BYTES = 32;
const DAY_MS = 24 * 3600 * 1000;

/** Reads a seal key file; throws INVALID_ARGUMENT that names file and member, never a value. */
export function readSealKeys(path: string): SealKey[] {
  return readFile(path).keys.map((entry) => ({
    id: entry.kid,
    secret: createSecretKey(Buffer.from(entry.k, 'base64url')),
    ...validityOf(entry),
  }));
}

/** A new key file's content. */
export function newSealKeyFile(nowMs: number): string {
  return toJson({ keys: [newEntry(nowMs)] } satisfies SealKeyFile);
}

export interface RotateSealKeyOptions {
  readonly folder: string;
  /**
   * When the new key begins to seal, milliseconds from now: until then every hoster must have the
   * file, since what it seals cannot be opened without. Default 1 day.
   */
  readonly beginsMs?: number;
  /** How long checkpoints of the old key can be opened after that, milliseconds. Default 7 days. */
  readonly overlapMs?: number;
  readonly clock?: Clock;
}

/**
 * Adds a new seal key, or makes the first one. Copy the file to every hoster before the new key begins;
 * they read it again by themselves. Returns the files written.
 */
export function rotateSealKey(options: RotateSealKeyOptions): string[] {
  const { overlapMs = 7 * DAY_MS, beginsMs = DAY_MS } = options;
  for (const [name, value] of Object.entries({ overlapMs, beginsMs }))
    if (!(value >= 0)) throw invalid('INVALID_ARGUMENT', name, value, 'at least 0');
  const nowMs = (options.clock ?? systemClock).now();
  const path = subnetPaths(options.folder).seal;
  const before = existsSync(path) ? readFile(path).keys : [];
  const beginMs = before.length === 0 ? nowMs : nowMs + beginsMs;
  const kept = before
    .filter(({ not_after: end }) => end === undefined || Date.parse(end) >= nowMs)
    .map((key) => ({
      ...key,
      not_after: key.not_after ?? new Date(beginMs + overlapMs).toISOString(),
    }));
  const plan = new FilePlan();
  plan.secret(path, toJson({ keys: [...kept, newEntry(nowMs, beginMs)] } satisfies SealKeyFile));
  return plan.write({ overwrite: true });
}

function newEntry(nowMs: number, beginMs = nowMs): SealKeyFile['keys'][number] {
  return {
    kty: 'oct',
    kid: `seal-${new Date(nowMs).toISOString().slice(0, 10)}-${randomBytes(4).toString('hex')}`,
    k: randomBytes(KEY_BYTES).toString('base64url'),
    ...(beginMs > nowMs ? { not_before: new Date(beginMs).toISOString() } : {}),
  };
}

function readFile(path: string): SealKeyFile {
  const parsed = fileSchema.safeParse(readJson(path));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw invalid(
    'INVALID_ARGUMENT',
    `${path} ${issue?.path.join('.') ?? ''}`.trim(),
    'something else',
    issue?.message ?? 'seal keys',
  );
}
