import { InvalidArgumentError, Option } from 'commander';
import type { Command } from 'commander';

/** Parsers for commander options; they name what was expected. */

export function wholeNumber(minimum: number, maximum = Number.MAX_SAFE_INTEGER) {
  return (value: string): number => {
    const number = Number(value);
    if (value.trim() === '' || !Number.isInteger(number) || number < minimum || number > maximum)
      throw new InvalidArgumentError(
        maximum === Number.MAX_SAFE_INTEGER
          ? `Expected a whole number of at least ${minimum}.`
          : `Expected a whole number from ${minimum} to ${maximum}.`,
      );
    return number;
  };
}

/** Bytes of a message, as `rpc.max_message_bytes` of services. */
export const messageBytes = wholeNumber(1, 2 ** 30);

/** Seconds, as a number or with a unit (`500ms`, `30s`, `5m`), in milliseconds. */
export function seconds(value: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m)?$/.exec(value);
  const factor = { ms: 1, s: 1000, m: 60_000 }[match?.[2] ?? 's'];
  const ms = Number(match?.[1]) * (factor ?? NaN);
  if (!(ms > 0) || ms > 2 ** 31 - 1)
    throw new InvalidArgumentError('Expected a time such as 30, 30s, 500ms or 5m.');
  return ms;
}

/** An option that takes a time; its help shows the default as it would be written. */
export function timeOption(flags: string, description: string, defaultMs: number): Option {
  return new Option(flags, description)
    .argParser(seconds)
    .default(defaultMs, `${defaultMs / 1000}s`);
}

/** `host:port`; may be given several times or with commas. */
export function addresses(value: string, before: readonly string[] = []): string[] {
  return [...before, ...value.split(',').map((item) => address(item.trim()))];
}

export function address(value: string): string {
  const match = /^(?:\[[0-9a-fA-F:.]+\]|[^\s:/[\]]+):(\d{1,5})$/.exec(value);
  const port = Number(match?.[1]);
  if (!(port >= 1 && port <= 65535))
    throw new InvalidArgumentError(`Expected HOST:PORT such as 127.0.0.1:50050, not "${value}".`);
  return value;
}

/** `key=value`, several times; the value is JSON where it reads as such, else a string. */
export function parameter(
  value: string,
  before: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  const equals = value.indexOf('=');
  if (equals < 1) throw new InvalidArgumentError('Expected NAME=VALUE.');
  const text = value.slice(equals + 1);
  let parsed: unknown = text;
  try {
    parsed = JSON.parse(text);
  } catch {
    // A plain string.
  }
  return { ...before, [value.slice(0, equals)]: parsed };
}

/** Collects an option that may be given several times. */
export function list(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

/** `name=size`, several times: the size of a dimension. */
export function dimension(
  value: string,
  before: Readonly<Record<string, number>> = {},
): Record<string, number> {
  const match = /^(.+)=(\d+)$/.exec(value);
  if (match === null) throw new InvalidArgumentError('Expected NAME=SIZE such as width=640.');
  return { ...before, [match[1] ?? '']: Number(match[2]) };
}

/** As commander's own, but after options that are unknown: one of these may be meant for it. */
export function required(command: Command, option: Option): Command {
  return command.addOption(option).hook('preAction', (called) => {
    if (called.getOptionValue(option.attributeName()) === undefined)
      called.error(`error: required option '${option.flags}' not specified`, {
        code: 'commander.missingMandatoryOptionValue',
      });
  });
}
