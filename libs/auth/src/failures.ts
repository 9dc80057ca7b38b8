import { CabstandError } from '@cabstand/core';

// Messages name what is wrong with credentials, never the credentials.

export function credentialsMissing(message: string): CabstandError {
  return new CabstandError('CREDENTIALS_MISSING', message);
}

export function malformed(message: string): CabstandError {
  return new CabstandError('CREDENTIALS_MALFORMED', message);
}

/** Carries the server's time, by which a client can correct itself once. */
export function clockSkew(message: string, nowMs: number, audience: string): CabstandError {
  return new CabstandError('CLOCK_SKEW', message, {
    metadata: { server_time_ms: String(Math.round(nowMs)), audience },
  });
}

export function wrongAudience(got: string, expected: readonly string[]): CabstandError {
  return new CabstandError(
    'CREDENTIALS_AUDIENCE',
    `the credentials are for ${got}, not for this server, which is ${expected.join(' or ')}`,
    { metadata: { got, expected: expected.join(',') } },
  );
}

/**
 * One reason and one text whatever is wrong, for whoever proves nothing; the cause says it, for the log. A caller
 * that has a key of its own signs the call.
 */
export function macKeyUnknown(keyId: string, problem: string): CabstandError {
  return new CabstandError(
    'MAC_KEY_UNKNOWN',
    'the key for MACs is not known here (any more), or the MAC is not of it: sign the call',
    { metadata: { key_id: keyId }, cause: new Error(`key for MACs ${keyId}: ${problem}`) },
  );
}
