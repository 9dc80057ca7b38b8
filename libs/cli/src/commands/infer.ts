import { Option } from 'commander';
import type { Command } from 'commander';
import { RemoteManager, SessionManager } from '@cabstand/client';
import type { Session } from '@cabstand/client';
import { CabstandError } from '@cabstand/core';
import type { v1 } from '@cabstand/rpc';
import { dimension, list, parameter, required } from '../arguments';
import type { CliContext } from '../context';
import { UsageError } from '../errors';
import { exampleInputs, isMisfit } from '../media/examples';
import { FramedCount } from '../media/short-input';
import { checkInputFlags, noInput, turnsOf } from '../media/turns';
import type { InputFlags, TurnSource } from '../media/turns';
import { rendererFor } from '../render/choose';
import { commandName } from '../render/guide';
import { inputGuide } from '../render/input-guide';
import type { OutputRenderer } from '../render/output';
import { printable } from '../render/style';
import { quoted } from '../render/ways';
import { runTurn } from '../run-turn';
import { findCredentials, rpcOptions } from '../subnet/credentials';
import { isUnreachable } from '../subnet/connection';
import { hosterOf, routersOf, withConnection, withSubnetFlags } from '../subnet/flags';
import type { SubnetFlags } from '../subnet/flags';
import type { Terminal } from '../terminal';

interface InferFlags extends SubnetFlags, InputFlags {
  readonly model: string;
  readonly param?: Readonly<Record<string, unknown>>;
  readonly size?: Readonly<Record<string, number>>;
  readonly json?: true;
  readonly base64?: true;
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
    .option('--json', 'one JSON object per record, then {"end": …}')
    .option('--base64', 'with --json: tensors as base64 instead of numbers');
  withSubnetFlags(command, TIMEOUT_MS)
    .addHelpText(
      'after',
      `
--wav, --text and --image may be given several times: a turn each, in one session.
Without any input it says what the model takes, with a command for each way to give it.

Examples:
  $ cabstand infer --model mine                          which inputs there are
  $ cabstand infer --model mine --example --size width=640
  $ cabstand infer --model silero-vad --wav speech.wav
  $ arecord -q -t raw -f S16_LE -r 16000 | cabstand infer --model silero-vad --stdin-audio
  $ cabstand infer --model g2p --text taxi --text rank
  $ cabstand infer --model text-orientation --image scan.png --json
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
  const model = await describeModel(context, flags);
  const takesSomething = model.inputs.length > 0 || model.takes_prompt;
  if (noInput(flags) && takesSomething)
    throw new UsageError(
      `${flags.model} needs input`,
      inputGuide(model, commandFor(flags), terminal.noteStyle),
    );
  const hoster = hosterOf(flags, env);
  const remote = new RemoteManager({
    ...(hoster === undefined ? { routers: routersOf(flags, env) } : { hosters: [hoster] }),
    models: [flags.model],
    ...rpcOptions(findCredentials(flags, env, 'client'), flags.maxMessageBytes),
  });
  const manager = new SessionManager(remote, {
    timeouts: { placeMs: flags.timeout, firstMs: flags.timeout, stallMs: flags.timeout },
  });
  try {
    if (flags.example === true || noInput(flags)) await runExample(context, flags, model, manager);
    else {
      const run = await openSession(context, flags, model, manager);
      const several = [flags.text, flags.image, flags.wav].some(
        (items) => (items?.length ?? 0) > 1,
      );
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
  } finally {
    await manager.close();
    await remote.close();
  }
}

type Run = (
  source: TurnSource,
  wrap?: (renderer: OutputRenderer) => OutputRenderer,
) => Promise<void>;

async function openSession(
  { terminal }: CliContext,
  flags: InferFlags,
  model: v1.ModelInfo__Output,
  manager: SessionManager,
): Promise<Run> {
  const { signal } = terminal;
  const session = await manager.session({ model: flags.model, signal });
  if (flags.json !== true) tellProgress(session, terminal);
  return async (source, wrap = (renderer) => renderer) => {
    const renderer = rendererFor(model, {
      format: flags.json !== true ? 'readable' : flags.base64 === true ? 'json-base64' : 'json',
      columns: terminal.columns,
      interactive: terminal.interactive,
      style: terminal.style,
    });
    if (source.converted !== undefined) say(terminal, source.converted);
    const count = new FramedCount(model);
    const { steps } = await runTurn(session, source, wrap(renderer), (text) => terminal.out(text), {
      signal,
      sent: count.add,
      ...(flags.param === undefined ? {} : { parameters: flags.param }),
    });
    if (steps === 0 && count.tooShort !== undefined) say(terminal, count.tooShort);
  };
}

/** Tries examples until one fits: hosters do not tell every limit of their inputs. */
async function runExample(
  context: CliContext,
  flags: InferFlags,
  model: v1.ModelInfo__Output,
  manager: SessionManager,
): Promise<void> {
  const { terminal } = context;
  const examples = exampleInputs(model, flags.size ?? {});
  for (const [i, example] of examples.entries())
    try {
      const run = await openSession(context, flags, model, manager);
      await run(example, (renderer) => telling(renderer, () => sent(terminal, example)));
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
  const asked = withConnection(context, flags, 'client', async (connection, hoster) => {
    const { address, info } = await connection.anyHoster(hoster, [flags.model]);
    const model = info.models.find(({ offer }) => offer?.name === flags.model);
    if (model !== undefined) return model;
    const others = (await connection.info(address)).models.map(({ offer }) => offer?.name ?? '?');
    throw new UsageError(
      `${address} has no model ${flags.model}`,
      `It has ${others.join(', ') || 'none'}.`,
    );
  });
  return asked.catch((error: unknown) => {
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

function tellProgress(session: Session, terminal: Terminal): void {
  session.on('queued', ({ position }) =>
    say(terminal, `waiting for a slot, ${position} before this session`),
  );
  session.on('retry', ({ error }) => say(terminal, `trying again: ${error.message}`));
  session.on('draining', () => say(terminal, 'the hoster is draining'));
}

function say(terminal: Terminal, text: string): void {
  terminal.note(`${terminal.noteStyle.dim(printable(text))}\n`);
}
