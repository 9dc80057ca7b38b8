import { readFileSync, statSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { ParseArgsConfig } from 'node:util';
import { CabstandError, nearest } from '@cabstand/core';
import { parse } from 'yaml';
import type { Field } from './fields';

type ParseArgsOptionsConfig = NonNullable<ParseArgsConfig['options']>;

export type Raw = Record<string, unknown>;

const LARGEST_FILE = 1024 * 1024;

/** Flags that every service takes besides its settings. */
interface CommonFlags {
  readonly config: string | undefined;
  readonly help: boolean;
  readonly printConfig: boolean;
}

export interface Flags extends CommonFlags {
  /** Values by flag name. */
  readonly values: Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;
}

const COMMON: ParseArgsOptionsConfig = {
  config: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
  'print-config': { type: 'boolean' },
};

export function configError(message: string, field: string, cause?: unknown): CabstandError {
  return new CabstandError('CONFIG_INVALID', message, { metadata: { field }, cause });
}

/** Reads the command line. Throws CONFIG_INVALID naming the flag and the nearest known one. */
export function readFlags(fields: readonly Field[], argv: readonly string[]): Flags {
  const options: ParseArgsOptionsConfig = { ...COMMON };
  for (const { flag, kind } of fields)
    options[flag] =
      kind === 'boolean' ? { type: 'boolean' } : { type: 'string', multiple: kind === 'list' };
  try {
    const { values } = parseArgs({
      args: joined(argv, options),
      options,
      allowNegative: true,
      allowPositionals: false,
    });
    const { config, help, 'print-config': print, ...rest } = values;
    return {
      config: typeof config === 'string' ? config : undefined,
      help: help === true,
      printConfig: print === true,
      values: rest,
    };
  } catch (cause) {
    throw configError(flagProblem(cause, Object.keys(options)), 'command line', cause);
  }
}

/** Joins `--flag -1` to `--flag=-1`: a negative number is a value, not a flag. */
function joined(argv: readonly string[], options: ParseArgsOptionsConfig): string[] {
  const out: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    const arg = argv[i] ?? '';
    const next = argv[i + 1];
    const takesValue = arg.startsWith('--') && options[arg.slice(2)]?.type === 'string';
    if (takesValue && next !== undefined && /^-\d/.test(next)) {
      out.push(`${arg}=${next}`);
      i += 1;
    } else out.push(arg);
  }
  return out;
}

function flagProblem(cause: unknown, known: readonly string[]): string {
  const message = messageOf(cause);
  const unknown = /^Unknown option '-{1,2}([^']+)'/.exec(message)?.[1];
  if (unknown === undefined) return message;
  return `there is no flag --${unknown}${suggestion(unknown, known, '--')}; --help lists them`;
}

/** Reads the YAML file. Throws CONFIG_INVALID naming file and line. */
export function readFile(path: string): Raw {
  let text: string;
  try {
    if (statSync(path).size > LARGEST_FILE)
      throw configError(`${path} is larger than ${LARGEST_FILE} bytes`, 'config');
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    if (CabstandError.is(cause)) throw cause;
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    throw configError(
      `cannot read the configuration ${path}: ${missing ? 'there is no such file' : messageOf(cause)}`,
      'config',
      cause,
    );
  }
  let value: unknown;
  try {
    value = parse(text);
  } catch (cause) {
    throw configError(`${path} is not YAML: ${messageOf(cause)}`, 'config', cause);
  }
  if (value === null || value === undefined) return {};
  if (typeof value !== 'object' || Array.isArray(value))
    throw configError(`${path} should hold keys and values`, 'config');
  return value as Raw;
}

function messageOf(cause: unknown): string {
  const { message } = cause as { readonly message?: unknown };
  return (typeof message === 'string' ? message : String(cause)).split('\n')[0] ?? '';
}

/**
 * Who calls a subnet by the command line sets these for it. A service started in the same shell ignores
 * them, but reads what has the same meaning for both: the hoster its CABSTAND_ROUTERS.
 */
const OF_THE_COMMAND_LINE = [
  'CABSTAND_ROUTERS',
  'CABSTAND_HOSTER',
  'CABSTAND_CREDENTIALS',
  'CABSTAND_KEY',
  'CABSTAND_TOKEN',
  'CABSTAND_TLS',
];

/** Values of the environment by field key; names that nothing reads are answered as `unknown`. */
export function readEnvironment(
  fields: readonly Field[],
  env: Readonly<Record<string, string | undefined>>,
): { readonly values: ReadonlyMap<Field, string>; readonly unknown: readonly string[] } {
  const values = new Map<Field, string>();
  const known = new Set(['CABSTAND_CONFIG', ...OF_THE_COMMAND_LINE]);
  for (const field of fields) {
    known.add(field.env);
    const value = env[field.env];
    if (value !== undefined && value !== '') values.set(field, value);
  }
  const unknown = Object.keys(env).filter(
    (name) => name.startsWith('CABSTAND_') && !known.has(name),
  );
  return { values, unknown };
}

/** A value given as text, as the field's schema wants it; what does not fit is left for the schema to refuse. */
export function fromText(field: Field, text: string): unknown {
  switch (field.kind) {
    case 'string':
      return text;
    case 'number':
      return number(text);
    case 'boolean':
      return { true: true, '1': true, false: false, '0': false }[text.toLowerCase()] ?? text;
    case 'list': {
      const parts = text.split(',').map((part) => part.trim());
      const filled = parts.filter((part) => part !== '');
      return field.numbers ? filled.map(number) : filled;
    }
    case 'yaml':
      try {
        return parse(text) as unknown;
      } catch {
        return text;
      }
  }
}

function number(text: string): unknown {
  const value = Number(text);
  return text.trim() === '' || Number.isNaN(value) ? text : value;
}

/** `, did you mean …?` for a name that is nearly one of the known ones. */
export function suggestion(name: string, known: readonly string[], prefix = ''): string {
  const near = nearest(name, known);
  return near === undefined ? '' : `, did you mean ${prefix}${near}?`;
}
