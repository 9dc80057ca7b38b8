/** Checks the JSON header of a frame: an engine may be written by others, and wires carry garbage. */
import { malformed } from './layout';
import type { FromEngine, ToEngine } from './types';

type Check = 'number' | 'count' | 'string' | 'boolean' | 'object' | 'array';
type Headers = Exclude<(ToEngine | FromEngine)['type'], 'STEP' | 'CREDITS'>;

const HEADERS: Readonly<Record<Headers, Readonly<Record<string, Check>>>> = {
  LOAD: {
    folder: 'string',
    version: 'string',
    provider: 'string',
    threads: 'count',
    nice: 'number',
    verify: 'boolean',
    maxBatch: 'count',
    maxSequences: 'count',
  },
  OPEN: { sequence: 'count', priority: 'count' },
  TURN: {
    sequence: 'count',
    turn: 'count',
    prompt: 'string',
    parameters: 'object',
    inputs: 'array',
    live: 'boolean',
  },
  INPUT: { sequence: 'count', turn: 'count', part: 'count', inputs: 'array', last: 'boolean' },
  CANCEL: { sequence: 'count', turn: 'count' },
  CLOSE: { sequence: 'count' },
  SNAPSHOT: { sequence: 'count' },
  SHUTDOWN: {},
  HELLO: { protocol: 'count', pid: 'count', runtime: 'string' },
  PROGRESS: { stage: 'string' },
  LOADED: {
    provider: 'string',
    batchClass: 'string',
    maxBatch: 'count',
    runtime: 'string',
    goldenError: 'number',
    reference: 'string',
    unbatchedBecause: 'string',
    notes: 'array',
    stateBytesPerSequence: 'count',
    loadSeconds: 'number',
    verifySeconds: 'number',
    outputs: 'array',
  },
  FAILED: { reason: 'string', message: 'string', metadata: 'object' },
  AUDIT: {
    batchClass: 'string',
    output: 'string',
    got: 'string',
    expected: 'string',
    error: 'number',
    inputsDigest: 'string',
  },
  STATS: {
    rssBytes: 'number',
    busySeconds: 'number',
    sequences: 'count',
    stateBytes: 'number',
    ready: 'count',
    audits: 'count',
    auditSeconds: 'number',
  },
};

/** Fields that may be absent. `restore` counts the bytes of the blob section. */
const OPTIONAL: Partial<Record<Headers, Readonly<Record<string, Check>>>> = {
  LOAD: {
    digest: 'string',
    known: 'object',
    cache: 'string',
    audit: 'number',
    variant: 'string',
    maxMessageBytes: 'count',
  },
  OPEN: { owner: 'string', restore: 'count', snapshots: 'boolean' },
  LOADED: { rowAxes: 'array' },
  STATS: { cpuSeconds: 'number' },
  TURN: { continued: 'boolean' },
};

export function checkHeader(name: Headers, header: unknown): Record<string, unknown> {
  if (typeof header !== 'object' || header === null || Array.isArray(header))
    throw malformed(name, header, 'a JSON object');
  const fields = header as Record<string, unknown>;
  for (const [field, check] of Object.entries(HEADERS[name]))
    if (!holds(check, fields[field]))
      throw malformed(`${name}.${field}`, fields[field], `a ${check}`);
  for (const [field, check] of Object.entries(OPTIONAL[name] ?? {}))
    if (fields[field] !== undefined && !holds(check, fields[field]))
      throw malformed(`${name}.${field}`, fields[field], `a ${check}, or nothing`);
  return fields;
}

function holds(check: Check, value: unknown): boolean {
  switch (check) {
    case 'number':
      return typeof value === 'number' && Number.isFinite(value);
    case 'count':
      return Number.isSafeInteger(value) && (value as number) >= 0;
    case 'array':
      return Array.isArray(value);
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value);
    default:
      return typeof value === check;
  }
}
