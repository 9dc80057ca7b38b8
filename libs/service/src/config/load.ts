import path from 'node:path';
import type { z } from 'zod';
import { stringify } from 'yaml';
import { expectation } from './expectation';
import { fieldsOf } from './fields';
import type { Field } from './fields';
import { fromFile } from './file-values';
import { helpText } from './help';
import type { HelpProgram } from './help';
import { configError, fromText, readEnvironment, readFile, readFlags, suggestion } from './read';
import type { Flags, Raw } from './read';

export interface ConfigInput {
  /** Arguments without node and script. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface ConfigProgram<S extends z.ZodObject> extends HelpProgram {
  readonly schema: S;
}

/**
 * - `config`: run with it. `warnings` are for the log.
 * - `text`: --help or --print-config was asked for: print it and leave.
 */
export type LoadedConfig<T> =
  | { readonly kind: 'config'; readonly config: T; readonly warnings: readonly string[] }
  | { readonly kind: 'text'; readonly text: string };

/**
 * One YAML file (`--config` or CABSTAND_CONFIG), overridden by CABSTAND_* variables, overridden by
 * flags. Relative paths in the file are relative to it, others to the working directory. Lists may be
 * text with commas in all three. Throws CONFIG_INVALID that names each offending key, its value and where it came from.
 */
export function loadConfig<S extends z.ZodObject>(
  program: ConfigProgram<S>,
  { argv, env }: ConfigInput,
): LoadedConfig<z.output<S>> {
  const fields = fieldsOf(program.schema);
  const flags = readFlags(fields, argv);
  if (flags.help) return { kind: 'text', text: helpText(program, fields) };
  const sources = new Map<string, string>();
  const { raw, unknown } = merge(fields, flags, env, sources);
  const parsed = program.schema.safeParse(raw, { error: expectation });
  if (!parsed.success) throw problems(program.name, parsed.error, raw, fields, sources);
  if (flags.printConfig) {
    const shown = redact(parsed.data, fields);
    return { kind: 'text', text: stringify(shown) };
  }
  const warnings = unknown.map(
    (name) =>
      `no setting reads the environment variable ${name}${suggestion(
        name,
        fields.map((field) => field.env),
      )}`,
  );
  return { kind: 'config', config: parsed.data, warnings };
}

function merge(
  fields: readonly Field[],
  flags: Flags,
  env: ConfigInput['env'],
  sources: Map<string, string>,
): { readonly raw: Raw; readonly unknown: readonly string[] } {
  const file = flags.config ?? env['CABSTAND_CONFIG'] ?? '';
  const folder = path.dirname(path.resolve(file));
  const raw = file === '' ? {} : fromFile(fields, readFile(file), folder);
  if (file !== '') sources.set('', file);
  const environment = readEnvironment(fields, env);
  for (const [field, text] of environment.values) {
    set(raw, field, fromText(field, text));
    sources.set(field.key, `environment variable ${field.env}`);
  }
  for (const field of fields) {
    const given = flags.values[field.flag];
    if (given === undefined) continue;
    const texts = [given].flat().map(String);
    set(raw, field, fromText(field, texts.join(',')));
    sources.set(field.key, `flag --${field.flag}`);
  }
  return { raw, unknown: environment.unknown };
}

function set(raw: Raw, field: Field, value: unknown): void {
  let at = raw;
  for (const name of field.path.slice(0, -1)) {
    const next = at[name];
    if (typeof next === 'object' && next !== null && !Array.isArray(next)) at = next as Raw;
    else at = at[name] = {};
  }
  at[field.path.at(-1) ?? ''] = value;
}

function problems(
  program: string,
  error: z.ZodError,
  raw: Raw,
  fields: readonly Field[],
  sources: ReadonlyMap<string, string>,
): Error {
  const lines = error.issues.flatMap((issue) => {
    const at = issue.path.map(String);
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map((name) => {
        const key = [...at, name].join('.');
        const known = fields.map((field) => field.key);
        return `${key}${from(key, sources)}: there is no such setting${suggestion(key, known)}`;
      });
    const key = at.join('.');
    const value: unknown = at.reduce<unknown>(
      (node, name) => (node as Raw | undefined)?.[name],
      raw,
    );
    const secret = fields.some((field) => field.key === key && field.secret);
    return [`${key}${from(key, sources)}: ${issue.message}${shown(value, secret)}`];
  });
  const first = error.issues[0]?.path.map(String).join('.') ?? '';
  return configError(
    `${program} cannot start with this configuration:\n  ${lines.join('\n  ')}\n` +
      `\`${program} --help\` says what each setting takes.`,
    first,
  );
}

function from(key: string, sources: ReadonlyMap<string, string>): string {
  const source = sources.get(key) ?? sources.get('');
  return source === undefined ? '' : ` (${source})`;
}

function shown(value: unknown, secret: boolean): string {
  if (value === undefined || (typeof value === 'object' && value !== null)) return '';
  return secret ? ', got a secret that is not shown' : `, got ${JSON.stringify(value)}`;
}

/** The configuration with its secrets replaced. */
export function redact(config: Raw, fields: readonly Field[]): Raw {
  const copy = structuredClone(config);
  for (const field of fields) {
    if (!field.secret) continue;
    let at: unknown = copy;
    for (const name of field.path.slice(0, -1)) at = (at as Raw | undefined)?.[name];
    const last = field.path.at(-1) ?? '';
    if (typeof at === 'object' && at !== null && (at as Raw)[last] !== undefined)
      (at as Raw)[last] = '[redacted]';
  }
  return copy;
}
