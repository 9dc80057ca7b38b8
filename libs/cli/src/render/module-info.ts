/** What a hoster tells of a module, for people. */
import type { v1 } from '@cabstand/rpc';
import { printable } from './style';

const SURVIVAL: Readonly<Record<string, string>> = {
  SURVIVAL_REPLAY: 'survives by replay',
  SURVIVAL_COMMIT: 'survives by commit',
  SURVIVAL_NONE: 'ends with its engine',
};

/** What its sessions outlive, and how many there may be at once. */
export function moduleTraits({ survival, exclusive }: v1.ModelInfo__Output): string[] {
  return [
    ...[SURVIVAL[survival] ?? []].flat(),
    exclusive ? 'exclusive: one session at a time' : 'sessions side by side',
  ];
}

/** Rows of name, arguments, meaning. */
export function commandRows({ commands }: v1.ModelInfo__Output): string[][] {
  return commands.map(({ name, description, arguments: schema, result }) => {
    const answer = result === '' ? '' : `answers ${schemaText(result)}`;
    return [
      printable(name),
      schemaText(schema),
      [printable(description), answer].filter((note) => note !== '').join('; '),
    ];
  });
}

/** Rows of name, content, and nothing. */
export function messageRows({ messages }: v1.ModelInfo__Output): string[][] {
  return Object.entries(messages).map(([name, schema]) => [
    printable(name),
    schemaText(schema),
    '',
  ]);
}

type Schema = Readonly<Record<string, unknown>>;

/**
 * A JSON schema in short: `colour=ocean|fire [seed=integer]`, where brackets are around what may be left
 * out. What is no object with properties is named by its type.
 */
export function schemaText(json: string): string {
  const schema = parsed(json);
  const properties = schema?.['properties'];
  if (!isSchema(properties)) return printable(typeText(schema));
  const required = schema?.['required'];
  const words = Object.entries(properties).map(([name, property]) => {
    const word = `${name}=${typeText(isSchema(property) ? property : undefined)}`;
    return Array.isArray(required) && required.includes(name) ? word : `[${word}]`;
  });
  return printable(words.join(' '));
}

function typeText(schema: Schema | undefined): string {
  if (schema === undefined) return '';
  const { enum: choices, const: only, type } = schema;
  if (Array.isArray(choices)) return choices.map(valueText).join('|');
  if (only !== undefined) return valueText(only);
  if (typeof type === 'string') return type;
  return Array.isArray(type) ? type.map(String).join('|') : 'JSON';
}

function valueText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function parsed(json: string): Schema | undefined {
  try {
    const schema: unknown = JSON.parse(json === '' ? 'null' : json);
    return isSchema(schema) ? schema : undefined;
  } catch {
    return undefined;
  }
}

function isSchema(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
