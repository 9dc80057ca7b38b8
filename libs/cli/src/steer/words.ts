import { InvalidArgumentError } from 'commander';
import { parameter } from '../arguments';
import { UsageError } from '../errors';

/** A command as it was typed. */
export interface TypedCommand {
  readonly name: string;
  readonly args: unknown;
}

const HOW = 'Write NAME, NAME key=value … or NAME {"key": value}.';

/** `set_prompt prompt=deep blue` or `seed {"seed": 7}`: a value goes on until the next `key=`. */
export function typedCommand(line: string): TypedCommand {
  const [, name = '', rest = ''] = /^\s*(\S+)\s*(.*?)\s*$/s.exec(line) ?? [];
  if (name.includes('=') || name.startsWith('{'))
    throw new UsageError(`${name} is no name of a command`, HOW);
  const words = isJson(rest) ? [rest] : rest.split(/\s+(?=[A-Za-z_][\w.-]*=)/);
  return { name, args: commandArguments(words.filter((word) => word !== '')) };
}

/**
 * Arguments from `key=value` words, whose values are JSON where they read as such, or from one JSON text.
 *
 * @throws UsageError for anything else
 */
export function commandArguments(words: readonly string[]): unknown {
  const [first = '', ...others] = words;
  if (others.length === 0 && isJson(first)) return json(first);
  let args: Record<string, unknown> = {};
  for (const word of words)
    try {
      args = parameter(word, args);
    } catch (error) {
      if (!(error instanceof InvalidArgumentError)) throw error;
      throw new UsageError(`${word} is no argument of a command`, HOW, error);
    }
  return args;
}

function isJson(text: string): boolean {
  return text.startsWith('{') || text.startsWith('[');
}

function json(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new UsageError(`${text} is no JSON: ${(error as Error).message}`, HOW, error);
  }
}
