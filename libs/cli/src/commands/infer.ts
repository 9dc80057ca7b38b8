import { Option } from 'commander';
import type { Command } from 'commander';
import type { SessionManager } from '@cabstand/client';
import { CabstandError } from '@cabstand/core';
import type { v1 } from '@cabstand/rpc';
import { dimension, list, parameter, required } from '../arguments';
import type { CliContext } from '../context';
import { UsageError } from '../errors';
import { openSession } from '../infer-session';
import type { SessionWishes } from '../infer-session';
import { exampleInputs, isMisfit } from '../media/examples';
import { checkInputFlags, noInput, turnsOf } from '../media/turns';
import type { InputFlags, TurnSource } from '../media/turns';
import { commandName } from '../render/guide';
import { inputGuide } from '../render/input-guide';
import type { OutputRenderer } from '../render/output';
import { printable } from '../render/style';
import { quoted } from '../render/ways';
import { isUnreachable } from '../subnet/connection';
import { withSubnetFlags } from '../subnet/flags';
import type { SubnetFlags } from '../subnet/flags';
import { modelInfo } from '../subnet/model-info';
import { openSessions } from '../subnet/sessions';
import type { Terminal } from '../terminal';

interface InferFlags extends SubnetFlags, InputFlags {
  readonly model: string;
  readonly param?: Readonly<Record<string, unknown>>;
  readonly size?: Readonly<Record<string, number>>;
  readonly json?: true;
  readonly base64?: true;
  readonly interactive?: true;
}

const TIMEOUT_MS = 30_000;

/** `cabstand infer`. */
export function registerInfer(program: Command, context: CliContext): void {
  const command = program
    .command('infer')
    .summary('run a session: audio, text, an image or tensors in, records out as they come')
    .description(
      'Opens a session with a model, sends it input, and prints its records as they come.',
    );
  required(command, new Option('--model <name>', 'the model'))
    .option(
      '--wav <file>',
      'audio, mixed and resampled as the model takes it; long files are streamed in parts',
      list,
    )
    .option('--text <text>', 'text', list)
    .option('--image <file>', 'a picture, scaled as the model wants it', list)
    .option(
      '--tensor <name=file>',
      'an input from FILE.npy, FILE.npz:KEY, FILE.json or FILE:DTYPE:SHAPE (raw bytes)',
      list,
    )
    .option(
      '--stdin-audio',
      'live audio from stdin: 16-bit samples, mono, little-endian, at the model\u2019s rate',
    )
    .option('--example', 'an input made to fit the model; says what it sent')
    .option('--size <name=n>', 'with --example: the size of a free dimension', dimension)
    .option('--param <name=value>', 'a parameter of the turn (JSON, or a string)', parameter)
    .option(
      '--interactive',
      'lines of stdin are commands (of a module: as on a terminal): NAME key=value …',
    )
    .option('--json', 'one JSON object per record, then {"end": …}')
    .option('--base64', 'with --json: tensors as base64 instead of numbers');
  withSubnetFlags(command, TIMEOUT_MS)
    .addHelpText(
      'after',
      `
--wav, --text and --image may be given several times: a turn each, in one session.
Without any input it says what the model takes, with a command for each way to give it.
Pictures are drawn in place. On a terminal, what is typed steers a module: \`help\` lists its commands.

Examples:
  $ cabstand infer --model mine                          which inputs there are
  $ cabstand infer --model mine --example --size width=640
  $ cabstand infer --model silero-vad --wav speech.wav
  $ arecord -q -t raw -f S16_LE -r 16000 | cabstand infer --model silero-vad --stdin-audio
  $ cabstand infer --model g2p --text taxi --text rank
  $ cabstand infer --model text-orientation --image scan.png --json
  $ echo 'seed {"seed": 7}' | cabstand infer --model painter --interactive
  $ cabstand infer --model mine --tensor x=in.npy --tensor y=in.bin:float32:1x80x3000`,
    )
    .action((flags: InferFlags) => infer(context, flags));
}

async function infer(context: CliContext, flags: InferFlags): Promise<void> {
  const { terminal, env, stdin } = context;
  checkInputFlags(flags);
  if (flags.base64 === true && flags.json !== true)
    throw new UsageError('--base64 goes with --json');
  if (flags.size !== undefined && flags.example !== true)
    throw new UsageError('--size goes with --example');
  if (flags.interactive === true && flags.stdinAudio === true)
    throw new UsageError('--interactive and --stdin-audio both read stdin');
  const model = await describeModel(context, flags);
  const takesSomething = model.inputs.length > 0 || model.takes_prompt;
  if (noInput(flags) && takesSomething)
    throw new UsageError(
      `${flags.model} needs input`,
      inputGuide(model, commandFor(flags), terminal.noteStyle),
    );
  const wishes = wishesOf(context, flags, model);
  await using sessions = openSessions(flags, env, flags.model);
  const { manager } = sessions;
  if (flags.example === true || noInput(flags))
    await runExample(context, flags, wishes, model, manager);
  else {
    const run = openSession(context, wishes, model, manager);
    const several = [flags.text, flags.image, flags.wav].some((items) => (items?.length ?? 0) > 1);
    for await (const source of turnsOf(flags, model, stdin)) {
      if (several && flags.json !== true)
        await terminal.out(
          terminal.style.bold(
            `${printable(source.label)}${source.kind === 'whole' && source.prompt !== undefined ? '  ' : '\n'}`,
          ),
        );
      await run(source);
    }
  }
}

function wishesOf(
  { terminal, stdin }: CliContext,
  { model, param, json, base64, stdinAudio, interactive }: InferFlags,
  { survival }: v1.ModelInfo__Output,
): SessionWishes {
  const typing = stdin.isTTY && terminal.redraws && json !== true && stdinAudio !== true;
  return {
    ...{ model, parameters: param },
    format: json !== true ? 'readable' : base64 === true ? 'json-base64' : 'json',
    // Of other models than modules nobody expects that they listen.
    interactive: interactive === true || (survival !== 'SURVIVAL_UNSPECIFIED' && typing),
  };
}

/** Tries examples until one fits: hosters do not tell every limit of their inputs. */
async function runExample(
  context: CliContext,
  flags: InferFlags,
  wishes: SessionWishes,
  model: v1.ModelInfo__Output,
  manager: SessionManager,
): Promise<void> {
  const { terminal } = context;
  const examples = exampleInputs(model, flags.size ?? {});
  for (const [i, example] of examples.entries())
    try {
      const run = openSession(context, wishes, model, manager);
      await run(example, (renderer) =>
        // There is nothing to tell of nothing, and remarks would go through what is drawn.
        wishes.interactive && noInput(flags)
          ? renderer
          : telling(renderer, () => sent(terminal, example)),
      );
      return;
    } catch (error) {
      if (!isMisfit(error)) throw error;
      if (i < examples.length - 1) continue;
      terminal.note(`none of ${examples.length} examples fits: send an input of your own\n`);
      throw error;
    }
}

/** Tells as soon as the turn was taken. Of one that was refused there is nothing to say but the reason. */
function telling(renderer: OutputRenderer, tell: () => void): OutputRenderer {
  let told = false;
  const once = (): void => {
    if (!told) tell();
    told = true;
  };
  return {
    chunk: (chunk) => {
      once();
      return renderer.chunk(chunk);
    },
    finish: (end) => {
      if (end !== undefined) once();
      return told ? renderer.finish(end) : '';
    },
  };
}

function sent(terminal: Terminal, { label }: TurnSource): void {
  terminal.note(
    `${terminal.noteStyle.dim(`sent ${label === '' ? 'no input' : printable(label)}`)}\n`,
  );
}

/** This command up to its input. */
function commandFor({ model, router, hoster, credentials, auth, tls }: InferFlags): string {
  return [
    `${commandName()} infer --model ${quoted(model)}`,
    ...(router === undefined ? [] : [`--router ${router.join(',')}`]),
    ...(hoster === undefined ? [] : [`--hoster ${hoster}`]),
    ...(credentials === undefined ? [] : [`--credentials ${quoted(credentials)}`]),
    ...(auth === false ? ['--no-auth'] : []),
    ...(tls === true ? ['--tls'] : []),
  ].join(' ');
}

/** What the model takes and gives: asked of a hoster, because files have to be read accordingly. */
async function describeModel(
  context: CliContext,
  flags: InferFlags,
): Promise<v1.ModelInfo__Output> {
  return modelInfo(context, flags, flags.model).catch((error: unknown) => {
    if (!noInput(flags) || !isNobody(error)) throw error;
    throw new UsageError(
      'there is no input',
      'Give --example, --wav FILE, --text TEXT, --image FILE, --tensor NAME=FILE or --stdin-audio.',
      error,
    );
  });
}

function isNobody(error: unknown): boolean {
  return isUnreachable(error) || (CabstandError.is(error) && error.reason === 'ROUTER_UNREACHABLE');
}
