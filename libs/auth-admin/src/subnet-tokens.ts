import { existsSync } from 'node:fs';
import {
  audiencesOf,
  mintToken,
  normalizeAudience,
  readPrivateKey,
  readText,
} from '@cabstand/auth';
import { invalid, systemClock } from '@cabstand/core';
import type { Clock, Role } from '@cabstand/core';
import { FilePlan, subnetPaths } from './subnet-files';
import { DAY_MS, ISSUER, checkMembers, readKeySetFile } from './subnet-keys';

/** `whole-subnet`: every server of it, if it takes such tokens, and whichever gets it can use it at the others. */
export type TokenAudience = readonly string[] | 'whole-subnet';

export interface IssueTokenOptions {
  readonly folder: string;
  readonly subject: string;
  /** `host:port`, as dialled, of each server that may take it. */
  readonly audience: TokenAudience;
  /** Default `['client']`. */
  readonly roles?: readonly Role[];
  /** Milliseconds. Default a day, which is what servers take at most by default. */
  readonly lifetimeMs?: number;
  readonly clock?: Clock;
}

const HOST_PORT = /^(\[[0-9A-Fa-f:.%]{2,60}\]|[^\s,:/[\]]{1,290}):\d{1,5}$/;
const MOST_AUDIENCES = 100;

/** A token for somebody without a key, signed by the subnet's issuer. Throws INVALID_ARGUMENT. */
export function issueToken(options: IssueTokenOptions): Promise<string> {
  const { folder, subject, audience, roles = ['client'], lifetimeMs = DAY_MS } = options;
  checkMembers([{ name: subject, roles }]);
  if (!(lifetimeMs >= 1000))
    throw invalid('INVALID_ARGUMENT', 'lifetimeMs', lifetimeMs, 'at least 1000');
  const paths = subnetPaths(folder);
  return mintToken(readPrivateKey(paths.key(ISSUER)), {
    subject,
    roles,
    audience:
      audience === 'whole-subnet'
        ? [readKeySetFile(paths.keys).subnet ?? 'cabstand']
        : checkAudience(audience),
    nowMs: (options.clock ?? systemClock).now(),
    lifetimeMs,
  });
}

/**
 * Writes `client.token` for tools that cannot sign: a token for these servers, good for a day. Servers of the
 * token that is there stay in it: another local subnet of the same folder may be running.
 */
export async function writeClientToken(
  folder: string,
  audience: readonly string[],
  clock?: Clock,
): Promise<void> {
  const file = subnetPaths(folder).token('client');
  const before = existsSync(file) ? audiencesOf(readText(file).trim()) : [];
  const all = new Set([
    ...audience.map(normalizeAudience),
    ...before.filter((one) => HOST_PORT.test(one)),
  ]);
  const token = await issueToken({
    folder,
    subject: 'client',
    audience: [...all].slice(0, MOST_AUDIENCES),
    ...(clock === undefined ? {} : { clock }),
  });
  const plan = new FilePlan();
  plan.secret(file, `${token}\n`);
  plan.write({ overwrite: true });
}

function checkAudience(audience: readonly string[]): readonly string[] {
  const wrong = audience.find((one) => !HOST_PORT.test(one));
  if (wrong !== undefined || audience.length === 0 || audience.length > MOST_AUDIENCES)
    throw invalid(
      'INVALID_ARGUMENT',
      'audience',
      wrong ?? audience.length,
      '1 to 100 of host:port',
    );
  return [...new Set(audience.map(normalizeAudience))];
}
