/** Checks the JSON header of a frame: an engine may be written by others, and wires carry garbage. */
import { malformed } from './layout';
import { LOG_LEVELS, STOP_REASONS } from './module-frames';
import type { FromEngine, ToEngine } from './types';

type Check =
  | 'number'
  | 'count'
  | 'count or -1'
  | 'string'
  | 'boolean'
  | 'object'
  | 'array'
  /** One of these. */
  | readonly string[]
  /** An object with these fields. */
  | { readonly fields: Checks }
  /** An array of objects with these fields. */
  | { readonly each: Checks };
type Checks = Readonly<{ [field: string]: Check }>;
type Headers = Exclude<(ToEngine | FromEngine)['type'], 'STEP' | 'CREDITS'>;

const HEADERS: Readonly<Record<Headers, Checks>> = {
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
  COMMAND: {
    sequence: 'count',
    turn: 'count',
    number: 'count or -1',
    name: 'string',
    arguments: 'string',
  },
  STOP: { sequence: 'count', reason: STOP_REASONS, graceMs: 'count' },
  READERS: { sequence: 'count', consumer: 'boolean', viewers: 'count' },
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
  LOG: { level: LOG_LEVELS, message: 'string' },
};

/** Fields that may be absent. `restore` counts the bytes of the blob section. */
const OPTIONAL: Partial<Record<Headers, Checks>> = {
  LOAD: {
    digest: 'string',
    known: 'object',
    cache: 'string',
    audit: 'number',
    variant: 'string',
    maxMessageBytes: 'count',
    maxStateBytes: 'count',
  },
  OPEN: {
    owner: 'string',
    restore: 'count',
    snapshots: 'boolean',
    seed: 'count',
    session: 'string',
  },
  LOADED: {
    rowAxes: 'array',
    snapshotBytes: 'count',
    module: { fields: { commands: { each: { name: 'string' } }, stateVersion: 'count' } },
  },
  STATS: {
    cpuSeconds: 'number',
    silent: { each: { sequence: 'count', ms: 'number' } },
    language: {
      fields: {
        ...{ promptTokens: 'count', cachedPromptTokens: 'count', generatedTokens: 'count' },
        ...{ preemptions: 'count', cacheUse: 'number' },
        ...{ queueSeconds: 'array', firstTokenSeconds: 'array', tokenSeconds: 'array' },
      },
    },
  },
  TURN: {
    continued: 'boolean',
    replay: {
      fields: {
        entries: { each: { kind: ['command', 'part', 'value'], point: 'count' } },
        records: 'count',
        chain: 'count',
      },
    },
  },
  LOG: { sequence: 'count', stray: 'boolean' },
};

export function checkHeader(name: Headers, header: unknown): Record<string, unknown> {
  if (typeof header !== 'object' || header === null || Array.isArray(header))
    throw malformed(name, header, 'a JSON object');
  const fields = header as Record<string, unknown>;
  for (const [field, check] of Object.entries(HEADERS[name]))
    if (!holds(check, fields[field]))
      throw malformed(`${name}.${field}`, fields[field], nameOf(check));
  for (const [field, check] of Object.entries(OPTIONAL[name] ?? {}))
    if (fields[field] !== undefined && !holds(check, fields[field]))
      throw malformed(`${name}.${field}`, fields[field], `${nameOf(check)}, or nothing`);
  return fields;
}

function holds(check: Check, value: unknown): boolean {
  if (typeof check === 'object') {
    if ('each' in check)
      return Array.isArray(value) && value.every((one) => hasFields(check.each, one));
    return 'fields' in check
      ? hasFields(check.fields, value)
      : check.some((allowed) => allowed === value);
  }
  switch (check) {
    case 'number':
      return typeof value === 'number' && Number.isFinite(value);
    case 'count':
      return Number.isSafeInteger(value) && (value as number) >= 0;
    case 'count or -1':
      return value === -1 || holds('count', value);
    case 'array':
      return Array.isArray(value);
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value);
    default:
      return typeof value === check;
  }
}

function hasFields(checks: Checks, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const fields = value as Record<string, unknown>;
  return Object.entries(checks).every(([field, check]) => holds(check, fields[field]));
}

function nameOf(check: Check): string {
  if (typeof check === 'string') return `a ${check}`;
  if ('each' in check) return `an array with ${Object.keys(check.each).join(', ')} in each`;
  if ('fields' in check) return `an object with ${Object.keys(check.fields).join(', ')}`;
  return `one of ${check.join(', ')}`;
}
