const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]', '[::ffff:127.0.0.1]']);

/**
 * One spelling for an audience: lower case, and one name for all spellings of loopback with the same
 * port. Other addresses are compared as they are written: nothing is resolved, for a name server must
 * not decide for whom a signature is good.
 */
export function normalizeAudience(audience: string): string {
  const lower = audience.trim().toLowerCase();
  const colon = lower.lastIndexOf(':');
  if (colon < 0) return lower;
  const host = lower.slice(0, colon);
  return LOOPBACK.has(host) ? `localhost${lower.slice(colon)}` : lower;
}

/** The `host:port` values under which a server takes signed requests. */
export type Audiences = readonly string[] | (() => readonly string[]);

export function listAudiences(audiences: Audiences): readonly string[] {
  return typeof audiences === 'function' ? audiences() : audiences;
}

export function acceptsAudience(accepted: readonly string[], audience: string): boolean {
  const wanted = normalizeAudience(audience);
  return accepted.some((one) => normalizeAudience(one) === wanted);
}
