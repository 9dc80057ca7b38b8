import { CabstandError, MOST_JSON_DEPTH, brief, invalid, nestsDeeper, show } from '@cabstand/core';
import { z } from 'zod';
import { STOP_COMMAND } from '@cabstand/engine';
import type { CommandDescription } from '@cabstand/engine';
import type { SessionCommand } from '../engine/engine';

/** Characters of a name that nobody knows. */
const MOST_NAME_TOLD = 120;

/** Of one model, made when its first command comes. */
const checks = new WeakMap<CommandDescription, z.ZodType | undefined>();

export function commandUnknown(model: string, name: string): CabstandError {
  return new CabstandError('COMMAND_UNKNOWN', `model ${model} knows no command ${show(name)}`, {
    metadata: { command: name.slice(0, MOST_NAME_TOLD), model },
  });
}

/**
 * Checks a command against what its model declares, before it reaches an author's code; schemas with patterns are
 * left to that.
 * Throws COMMAND_UNKNOWN, or COMMAND_INVALID naming field, value and what was expected.
 *
 * @param json the arguments; empty for none
 */
export function checkCommand(
  model: { readonly name: string; readonly commands: readonly CommandDescription[] },
  name: string,
  json: string,
  maxBytes = Infinity,
): void {
  const declared = [...model.commands, STOP_COMMAND].find((one) => one.name === name);
  if (declared === undefined) throw commandUnknown(model.name, name);
  checkBytes(json, maxBytes);
  if (nestsDeeper(json))
    throw invalid(
      'COMMAND_INVALID',
      'command.arguments',
      'lists and objects that nest deeper',
      `at most ${MOST_JSON_DEPTH} in one another`,
    );
  const value = parsed(json);
  const result = schemaOf(declared)?.safeParse(value);
  const issue = result?.error?.issues[0];
  if (issue === undefined) return;
  const field = brief(['command.arguments', ...issue.path.map(String)].join('.'));
  // It may name keys of the caller's.
  const expected = brief(issue.message);
  throw new CabstandError('COMMAND_INVALID', `${name}: ${field}: ${expected}`, {
    metadata: { command: name, field, expected },
  });
}

/** Throws COMMAND_INVALID. */
function checkBytes(json: string, maxBytes: number): void {
  const bytes = Buffer.byteLength(json);
  if (bytes > maxBytes)
    throw invalid(
      'COMMAND_INVALID',
      'command.arguments',
      `${bytes} bytes`,
      `at most ${maxBytes} (limits.command_bytes)`,
    );
}

/** With the rest of its last character within what names of applied commands may have. */
const MOST_NAME_BYTES = 4096 - 3;

/**
 * A command as it is kept: of one that is too large as much as shows that it is, which the module then says of it.
 * Others would cost its session memory, and be refused where no record could tell its sender.
 */
export function withinBytes(command: SessionCommand, maxBytes: number): SessionCommand {
  const { number, name, arguments: json } = command;
  const [most, longest] = [maxBytes + 1, MOST_NAME_BYTES];
  // Three bytes are the most that a character takes.
  if (json.length * 3 <= maxBytes && name.length * 3 <= longest) return command;
  return { number, name: startOf(name, longest), arguments: startOf(json, most) };
}

/** The first characters, of so many bytes or up to three more. */
function startOf(text: string, bytes: number): string {
  const all = Buffer.from(text);
  if (all.length <= bytes) return text;
  let end = bytes;
  while (((all[end] ?? 0) & 0xc0) === 0x80) end++;
  return all.toString('utf8', 0, end);
}

const RETRY_MS = 500;

/** Throws RATE_LIMITED where `waiting` commands are as many as may wait. */
export function checkRoom(waiting: number, most: number): void {
  if (waiting < most) return;
  throw new CabstandError(
    'RATE_LIMITED',
    `${waiting} commands of the session wait, for the module or for the reader of their results: ` +
      'read and acknowledge its records, and send the command again',
    {
      metadata: { limited_by: 'commands_waiting', field: 'command', expected: `at most ${most}` },
      retryAfterMs: RETRY_MS,
    },
  );
}

function parsed(json: string): unknown {
  if (json === '') return {};
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw new CabstandError('COMMAND_INVALID', 'command.arguments: not JSON', {
      metadata: { field: 'command.arguments', expected: 'JSON' },
      cause,
    });
  }
}

/**
 * A pattern may take for ever on a text that a caller chose, and with it all sessions of this process. The module's
 * thread, which checks too, is watched.
 */
const PATTERNS = /"(?:pattern|patternProperties|format)":/;

/** Undefined where anything is taken here; the module's thread has the author's own schema. */
function schemaOf(declared: CommandDescription): z.ZodType | undefined {
  if (checks.has(declared)) return checks.get(declared);
  let schema: z.ZodType | undefined;
  try {
    const { arguments: json } = declared;
    if (json !== undefined && !PATTERNS.test(JSON.stringify(json))) schema = z.fromJSONSchema(json);
  } catch {
    // Some schemas say what cannot be checked here.
    schema = undefined;
  }
  checks.set(declared, schema);
  return schema;
}
