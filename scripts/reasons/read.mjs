import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

/** The source, as it is named in what is made from it. */
export const SOURCE = 'proto/cabstand/v1/reasons.yaml';

/** google.rpc.Code, by number. */
export const CODES = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
];

/**
 * The table: classes and what to do about each; reasons in their order; the reason that each bare code
 * stands for. Throws for a row that says nothing, or something that is not there.
 */
export function readReasons() {
  const table = parse(readFileSync(path.join(root, SOURCE), 'utf8'));
  const reasons = Object.entries(table.reasons).map(([name, row]) => ({
    name,
    metadata: [],
    ...row,
  }));
  for (const { name, code, class: kind, meaning, metadata, ...more } of reasons) {
    const wrong = (what) => new Error(`${SOURCE}: reasons.${name}: ${what}`);
    if (!/^[A-Z][A-Z_]*$/.test(name)) throw wrong('a name is of A-Z and _');
    if (!CODES.includes(code)) throw wrong(`code: gRPC has no ${code}`);
    if (!Object.hasOwn(table.classes, kind)) throw wrong(`class: there is no ${kind}`);
    if (typeof meaning !== 'string' || /[\n|]/.test(meaning))
      throw wrong('meaning: a line without |');
    if (!Array.isArray(metadata) || metadata.some((key) => !/^[a-z_]+$/.test(key)))
      throw wrong('metadata: a list of keys');
    for (const key of Object.keys(more)) throw wrong(`unknown key ${key}`);
  }
  const bare = CODES.slice(1).map((code) => ({ code, reason: table.bare[code] }));
  for (const { code, reason } of bare)
    if (!Object.hasOwn(table.reasons, reason))
      throw new Error(`${SOURCE}: bare.${code}: there is no reason ${reason}`);
  return { classes: Object.entries(table.classes), reasons, bare };
}
