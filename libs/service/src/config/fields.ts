import { z } from 'zod';

type FieldKind = 'string' | 'number' | 'boolean' | 'list' | 'yaml';

/** One setting: a leaf of the configuration's schema, and its three ways in. */
export interface Field {
  /** Keys from the root: `['limits', 'max_sessions']`. */
  readonly path: readonly string[];
  /** `limits.max_sessions` */
  readonly key: string;
  /** `CABSTAND_LIMITS_MAX_SESSIONS` */
  readonly env: string;
  /** `limits-max-sessions` */
  readonly flag: string;
  readonly kind: FieldKind;
  /** What it takes, for people: `number`, `debug|info|warn`, `path`; a schema's `.meta({ takes })`. */
  readonly type: string;
  /** Of a list: whether its elements are numbers. */
  readonly numbers: boolean;
  readonly default: unknown;
  readonly required: boolean;
  readonly description: string;
  readonly secret: boolean;
  /** The part of the configuration that it belongs to; undefined: it stands alone. */
  readonly section: Section | undefined;
}

/** A top-level object of a schema. */
interface Section {
  readonly name: string;
  readonly description: string;
}

/** Names of settings whose values are never shown, besides those marked `.meta({ secret: true })`. */
const SECRET = /(^|_)(token|password|secret)$/;

/** All settings of a schema, in the order they are declared. */
export function fieldsOf(schema: z.ZodObject): Field[] {
  return walk(schema, [], undefined);
}

/** Whether its text names files: relative ones in a configuration file are relative to that file. */
export function isPath(field: Field): boolean {
  return field.type.startsWith('path');
}

function walk(object: z.ZodObject, path: readonly string[], section: Section | undefined): Field[] {
  return Object.entries<z.core.$ZodType>(object.shape).flatMap(([name, type]) => {
    const here = [...path, name];
    const unwrapped = unwrap(type);
    const { inner, description } = unwrapped;
    return inner instanceof z.ZodObject
      ? walk(inner, here, section ?? { name, description })
      : [field(here, unwrapped, section)];
  });
}

interface Unwrapped {
  readonly inner: z.core.$ZodType;
  readonly default: unknown;
  readonly required: boolean;
  readonly description: string;
  readonly secret: boolean;
}

/** Looks through optional, default and the like for what is inside, collecting what they say. */
function unwrap(type: z.core.$ZodType): Unwrapped {
  let inner = type;
  let fallback: unknown;
  let required = true;
  let description = '';
  let secret = false;
  for (;;) {
    const meta = z.globalRegistry.get(inner);
    description ||= meta?.description ?? '';
    secret ||= meta?.['secret'] === true;
    if (inner instanceof z.ZodDefault || inner instanceof z.ZodPrefault) {
      fallback ??= inner.def.defaultValue;
      required = false;
      inner = inner.def.innerType;
    } else if (inner instanceof z.ZodOptional || inner instanceof z.ZodNullable) {
      required = false;
      inner = inner.def.innerType;
    } else if (inner instanceof z.ZodPipe) {
      inner = inner.def.in;
    } else {
      return { inner, default: fallback, required, description, secret };
    }
  }
}

function field(path: readonly string[], unwrapped: Unwrapped, section: Section | undefined): Field {
  const { inner } = unwrapped;
  const words = path.join('_');
  return {
    path,
    key: path.join('.'),
    env: `CABSTAND_${words.toUpperCase()}`,
    flag: words.toLowerCase().replaceAll('_', '-'),
    kind: kindOf(inner),
    type: typeOf(inner),
    numbers: inner instanceof z.ZodArray && kindOf(unwrap(inner.element).inner) === 'number',
    default: unwrapped.default,
    required: unwrapped.required,
    description: unwrapped.description,
    secret: unwrapped.secret || SECRET.test(path.at(-1) ?? ''),
    section,
  };
}

function kindOf(type: z.core.$ZodType): FieldKind {
  if (type instanceof z.ZodString || type instanceof z.ZodEnum) return 'string';
  if (type instanceof z.ZodNumber) return 'number';
  if (type instanceof z.ZodBoolean) return 'boolean';
  if (type instanceof z.ZodArray) {
    const element = kindOf(unwrap(type.element).inner);
    return element === 'string' || element === 'number' ? 'list' : 'yaml';
  }
  return 'yaml';
}

function typeOf(type: z.core.$ZodType): string {
  const takes = z.globalRegistry.get(type)?.['takes'];
  if (typeof takes === 'string') return takes;
  if (type instanceof z.ZodEnum) return type.options.join('|');
  if (type instanceof z.ZodArray && kindOf(type) === 'list')
    return `${typeOf(unwrap(type.element).inner)},…`;
  return kindOf(type) === 'string' ? 'text' : kindOf(type);
}
