import { keyExpiry } from '@cabstand/auth-admin';
import type { CertificateInUse, PublicKey } from '@cabstand/auth';
import { systemClock } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import type { AuthConfig, CreateOptions } from '@cabstand/auth-admin';
import type { Metrics } from './metrics';

/** Principals that get a series each; of more those whose keys end first. */
const MEMBERS = 100;
/** Retired keys that get a series each. */
const RETIRED = 1000;

/** When the keys of this subnet end, read again at each scrape. Throws for files that cannot be used. */
export function exportKeyExpiry(
  metrics: Metrics,
  auth: AuthConfig,
  options: CreateOptions = {},
): void {
  const read = keyExpiry(auth, options);
  if (read === undefined) return;
  const own = metrics.gauge({
    name: 'cabstand_own_key_expiry_timestamp_seconds',
    help: 'When the key that this process signs with ends, in seconds since 1970; +Inf for a key that was not retired, 0 for one that is not in the key set.',
  });
  const members = metrics.gauge({
    name: 'cabstand_key_expiry_timestamp_seconds',
    help: 'When the last key of a principal in the key set ends, in seconds since 1970; +Inf where one of its keys was not retired.',
    labels: ['principal'],
  });
  const known = metrics.gauge({
    name: 'cabstand_retired_key_known_since_timestamp_seconds',
    help: 'Since when this process has known that a key was retired, and tells of its use, in seconds since 1970.',
    labels: ['principal', 'key'],
  });
  const { clock = systemClock } = options;
  let since = new Map<string, number>();
  const learn = (retired: readonly PublicKey[]): void => {
    const nowMs = clock.now();
    const good = retired.filter(({ notAfterMs }) => notAfterMs > nowMs).slice(0, RETIRED);
    since = new Map(good.map(({ id }) => [id, since.get(id) ?? nowMs]));
    known.reset();
    for (const { principal, id } of good)
      known.set({ principal, key: id }, (since.get(id) ?? nowMs) / 1000);
  };
  learn(read().retired);
  metrics.beforeScrape(() => {
    const found = read();
    learn(found.retired);
    // Not in the key set: nobody takes what it signs.
    own.set((found.own ?? 0) / 1000);
    members.reset();
    const soonest = [...found.members].sort(([, a], [, b]) => a - b).slice(0, MEMBERS);
    for (const [principal, endsMs] of soonest) members.set({ principal }, endsMs / 1000);
  });
}

/**
 * Takes the keys of calls, and tells when one was used that is to end: whoever ends it then stops somebody.
 * Give it to whatever checks calls.
 */
export function retiredKeyUse(
  metrics: Metrics,
  clock: Clock = systemClock,
): (key: PublicKey) => void {
  const gauge = metrics.gauge({
    name: 'cabstand_retired_key_last_used_timestamp_seconds',
    help: 'When a call was last taken that a retired key had signed, in seconds since 1970; the key is good until its end.',
    labels: ['principal', 'key'],
  });
  const used = new Map<string, { readonly key: PublicKey; atMs: number }>();
  metrics.beforeScrape(() => {
    gauge.reset();
    for (const [id, { key, atMs }] of used)
      if (key.notAfterMs < clock.now()) used.delete(id);
      else gauge.set({ principal: key.principal, key: id }, atMs / 1000);
  });
  return (key) => {
    if (key.notAfterMs === Infinity) return;
    const known = used.get(key.id);
    if (known !== undefined) known.atMs = clock.now();
    else if (used.size < RETIRED) used.set(key.id, { key, atMs: clock.now() });
  };
}

/** Takes the certificates that come into use: give it to whatever reads them. */
export function certificateExpiry(metrics: Metrics): (certificate: CertificateInUse) => void {
  const gauge = metrics.gauge({
    name: 'cabstand_certificate_expiry_timestamp_seconds',
    help: 'When a TLS certificate in use ends, in seconds since 1970: "own" is the one that this process shows, "ca" the authority that it checks others against.',
    labels: ['use'],
  });
  return ({ use, notAfterMs }) => gauge.set({ use }, notAfterMs / 1000);
}
