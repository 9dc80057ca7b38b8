/** The commands that an author's class declares, and how one is carried out. */
import {
  CabstandError,
  MOST_JSON_DEPTH,
  invalid,
  nearest,
  nestsDeeper,
  show,
} from '@cabstand/core';
import type { ModuleProgram } from '@cabstand/model';
import type { CommandDescription } from '../../frames/module-frames';
import { STOP_COMMAND } from '../../frames/stop-command';
import type { Outcome } from './bodies';
import { SessionOver, codeOf, isCommandError, publicMessage } from './failure';
import type { CommandCall } from './inbox';
import { jsonOf } from './limits';
import { schemaOf } from './schema';
import type { Schema } from './schema';

type Handler = (context: unknown, args: unknown) => unknown;

interface Command {
  readonly description: string | undefined;
  readonly arguments: Schema | undefined;
  readonly result: Schema | undefined;
  readonly handle: Handler;
}

/** Most bytes of their JSON. */
type CommandLimits = Pick<ModuleProgram, 'commandBytes' | 'resultBytes'>;

interface Thrown {
  /** What was thrown, as it is to this session. */
  readonly own: (thrown: unknown) => unknown;
  /** Hears of what the author's code threw. */
  readonly failed: (thrown: unknown) => void;
}

export class Commands {
  readonly #commands: ReadonlyMap<string, Command>;
  readonly #limits: CommandLimits;

  /**
   * @param declared `static commands` of the author's class
   * @throws CabstandError MODULE_FAILED naming the command that cannot be used
   */
  constructor(declared: unknown, limits: CommandLimits) {
    this.#limits = limits;
    if (declared !== undefined && !isRecord(declared))
      throw invalid('MODULE_FAILED', 'commands', declared, 'an object of commands by name');
    const { name: taken } = STOP_COMMAND;
    if (declared !== undefined && Object.hasOwn(declared, taken))
      throw invalid('MODULE_FAILED', 'commands', taken, 'another name: every model has this one');
    this.#commands = new Map(
      Object.entries(declared ?? {}).map(([name, command]) => [name, commandOf(name, command)]),
    );
  }

  get descriptions(): CommandDescription[] {
    return [...this.#commands].map(([name, command]) => ({
      name,
      ...(command.description === undefined ? {} : { description: command.description }),
      ...(command.arguments === undefined ? {} : { arguments: command.arguments.json }),
      ...(command.result === undefined ? {} : { result: command.result.json }),
    }));
  }

  /**
   * What becomes of a command. What its handler throws is its result, and so is what a schema throws.
   *
   * @throws SessionOver and other errors that end the session
   */
  async run(call: CommandCall, context: unknown, { own, failed }: Thrown): Promise<Outcome> {
    const command = this.#commands.get(call.name);
    if (command === undefined) return { error: detailOf(this.#unknown(call.name)) };
    try {
      const args = await checkArguments(call, command.arguments, this.#limits.commandBytes);
      if (!args.ok) return { error: detailOf(args.error) };
      const value: unknown = await command.handle(context, args.value);
      return { json: await this.#resultOf(call.name, command, value) };
    } catch (caught) {
      const thrown = own(caught);
      if (thrown instanceof SessionOver) throw thrown;
      if (isCommandError(thrown))
        return {
          error: {
            reason: 'COMMAND_REJECTED',
            message: publicMessage(thrown).replace(/^CommandError: /, ''),
            metadata: { code: codeOf(thrown) },
          },
        };
      failed(thrown);
      const message = publicMessage(thrown);
      return { error: { reason: 'COMMAND_FAILED', message, metadata: { command: call.name } } };
    }
  }

  async #resultOf(name: string, command: Command, value: unknown): Promise<string> {
    const checked = await command.result?.check(value ?? null);
    if (checked?.ok === false)
      throw new Error(`the result is not what the command declares: ${checked.problem}`);
    const result = checked === undefined ? value : checked.value;
    return jsonOf(`result of command ${name}`, result, this.#limits.resultBytes);
  }

  #unknown(name: string): CabstandError {
    const names = [...this.#commands.keys()];
    const near = nearest(name, names);
    const expected = names.length === 0 ? 'no command: it declares none' : names.join(', ');
    return invalid(
      'COMMAND_UNKNOWN',
      'command',
      name,
      near === undefined ? expected : `${near} or another of ${expected}`,
    );
  }
}

type Arguments =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: CabstandError };

/** What is wrong with one is its result, so that a second run finds the same. */
async function checkArguments(
  { name, arguments: json }: CommandCall,
  schema: Schema | undefined,
  mostBytes: number,
): Promise<Arguments> {
  // Of one that is too large the hoster hands on the beginning.
  if (Buffer.byteLength(json) > mostBytes)
    return unfit(
      name,
      `more than ${mostBytes} bytes`,
      `at most ${mostBytes} bytes (limits.command_bytes)`,
    );
  if (nestsDeeper(json))
    return unfit(
      name,
      'lists and objects that nest deeper',
      `at most ${MOST_JSON_DEPTH} in one another`,
    );
  let value: unknown;
  try {
    value = JSON.parse(json === '' ? '{}' : json);
  } catch {
    return unfit(name, show(json), 'JSON');
  }
  const checked = await schema?.check(value);
  if (checked === undefined) return { ok: true, value };
  if (checked.ok) return checked;
  const error = new CabstandError('COMMAND_INVALID', `arguments of ${name}: ${checked.problem}`, {
    metadata: { field: 'arguments', expected: checked.problem },
  });
  return { ok: false, error };
}

function unfit(name: string, value: string, expected: string): Arguments {
  const message = `arguments of ${name}: got ${value}, expected ${expected}`;
  const metadata = { field: 'arguments', value, expected };
  return { ok: false, error: new CabstandError('COMMAND_INVALID', message, { metadata }) };
}

function commandOf(name: string, declared: unknown): Command {
  const what = `command ${name}`;
  if (!isRecord(declared) || typeof declared.handle !== 'function')
    throw invalid('MODULE_FAILED', what, declared, 'an object with handle(ctx, args)');
  const { description, arguments: args, result } = declared;
  return {
    description: typeof description === 'string' ? description : undefined,
    arguments: args === undefined ? undefined : schemaOf(`${what}: arguments`, args, 'input'),
    result: result === undefined ? undefined : schemaOf(`${what}: result`, result, 'output'),
    handle: declared.handle.bind(declared) as Handler,
  };
}

function detailOf({ reason, message, metadata }: CabstandError) {
  return { reason, message, metadata: { ...metadata } };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
