import type { KeyFolder } from './key-folder';

/** Whoever renews within this time is not late. */
const SOON_MS = 30 * 24 * 3600 * 1000;

/** What has to be renewed soon, as steps; or what comes first, where nothing has. */
export function dueSteps(out: string, folder: KeyFolder, nowMs: number): string[] {
  const keys = new Map<string, { name: string; endMs: number }>();
  for (const { principal, notAfterMs } of folder.keys) {
    const endMs = Math.max(notAfterMs ?? Infinity, keys.get(principal)?.endMs ?? 0);
    keys.set(principal, { name: principal, endMs });
  }
  const ends = [
    ...folder.certificates.map(({ name, notAfterMs }) => ({
      what: name === 'ca' ? 'the certificate of the authority' : `the certificate of ${name}`,
      how:
        name === 'ca'
          ? `\`cabstand keys init\` in a new folder, for a subnet of new keys`
          : `\`cabstand keys cert ${name} --out ${out}\``,
      endMs: notAfterMs ?? Infinity,
    })),
    ...[...keys.values()].map(({ name, endMs }) => ({
      what: `the key of ${name}`,
      how: `\`cabstand keys rotate ${name} --out ${out}\``,
      endMs,
    })),
  ].sort((a, b) => a.endMs - b.endMs);
  const due = ends.filter(({ endMs }) => endMs - nowMs < SOON_MS);
  if (due.length > 0)
    return due.map(
      ({ what, how, endMs }) => `${what} ${endMs < nowMs ? 'ended' : 'ends'} ${day(endMs)}: ${how}`,
    );
  const first = ends.find(({ endMs }) => Number.isFinite(endMs));
  return [
    first === undefined
      ? 'Nothing is due: no key and no certificate has an end.'
      : `Nothing is due. First comes ${first.what}, which ends ${day(first.endMs)}: ${first.how}`,
  ];
}

const day = (ms: number): string => new Date(ms).toISOString().slice(0, 10);
