import type { Command } from 'commander';
import { RemoteManager, SessionManager } from '@cabstand/client';
import type { Session } from '@cabstand/client';
import type { v1 } from '@cabstand/rpc';
import { list, parameter } from '../arguments';
import type { CliContext } from '../context';
import { UsageError } from '../errors';
import { checkInputFlags, turnsOf } from '../media/turns';
import type { InputFlags } from '../media/turns';
import { rendererFor } from '../render/choose';
import { printable } from '../render/style';
import { runTurn } from '../run-turn';
import { findCredentials, rpcOptions } from '../subnet/credentials';
import { hosterOf, routersOf, withConnection, withSubnetFlags } from '../subnet/flags';
import type { SubnetFlags } from '../subnet/flags';
import type { Terminal } from '../terminal';

interface InferFlags extends SubnetFlags, InputFlags {
  readonly model: string;
  readonly param?: Readonly<Record<string, unknown>>;
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
    )
    .requiredOption('--model <name>', 'the model')
    .option('--wav <file>', 'audio; long files are streamed in parts', list)
    .option('--text <text>', 'text', list)
    .option('--image <file>', 'a picture, scaled as the model wants it', list)
    .option(
      '--tensor <name=file>',
      'an input from FILE.npy, FILE.json or FILE:DTYPE:SHAPE (raw bytes)',
      list,
    )
    .option(
      '--stdin-audio',
      'live audio from stdin: 16-bit samples, mono, little-endian, at the model\u2019s rate',
    )
    .option('--param <name=value>', 'a parameter of the turn (JSON, or a string)', parameter)
    .option('--json', 'one JSON object per record, then {"end": …}')
    .option('--base64', 'with --json: tensors as base64 instead of numbers');
  withSubnetFlags(command, TIMEOUT_MS)
    .addHelpText(
      'after',
      `
--wav, --text and --image may be given several times: a turn each, in one session.

Examples:
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
  const model = await describeModel(context, flags);
  const connection = rpcOptions(findCredentials(flags, env, 'client'));
  const hoster = hosterOf(flags, env);
  const remote = new RemoteManager({
    ...(hoster === undefined ? { routers: routersOf(flags, env) } : { hosters: [hoster] }),
    models: [flags.model],
    ...connection,
  });
  const manager = new SessionManager(remote, {
    ...connection,
    timeouts: { placeMs: flags.timeout, firstMs: flags.timeout, stallMs: flags.timeout },
  });
  try {
    const session = await manager.session({ model: flags.model, signal: terminal.signal });
    if (flags.json !== true) tellProgress(session, terminal);
    const several = [flags.text, flags.image, flags.wav].some((items) => (items?.length ?? 0) > 1);
    for await (const source of turnsOf(flags, model, stdin)) {
      if (several && flags.json !== true)
        await terminal.out(
          terminal.style.bold(
            `${printable(source.label)}${source.kind === 'whole' && source.prompt !== undefined ? '  ' : '\n'}`,
          ),
        );
      const renderer = rendererFor(model, {
        format: flags.json !== true ? 'readable' : flags.base64 === true ? 'json-base64' : 'json',
        columns: terminal.columns,
        interactive: terminal.interactive,
        style: terminal.style,
      });
      await runTurn(session, source, renderer, (text) => terminal.out(text), {
        signal: terminal.signal,
        ...(flags.param === undefined ? {} : { parameters: flags.param }),
      });
    }
  } finally {
    await manager.close();
    await remote.close();
  }
}

/** What the model takes and gives: asked of a hoster, because files have to be read accordingly. */
async function describeModel(
  context: CliContext,
  flags: InferFlags,
): Promise<v1.ModelInfo__Output> {
  return withConnection(context, flags, 'client', async (connection, hoster) => {
    const { address, info } = await connection.anyHoster(hoster, [flags.model]);
    const model = info.models.find(({ offer }) => offer?.name === flags.model);
    if (model !== undefined) return model;
    const others = (await connection.info(address)).models.map(({ offer }) => offer?.name ?? '?');
    throw new UsageError(
      `${address} has no model ${flags.model}`,
      `It has ${others.join(', ') || 'none'}.`,
    );
  });
}

function tellProgress(session: Session, terminal: Terminal): void {
  const say = (text: string): void => terminal.note(`${terminal.noteStyle.dim(text)}\n`);
  session.on('queued', ({ position }) =>
    say(`waiting for a slot, ${position} before this session`),
  );
  session.on('retry', ({ error }) => say(`trying again: ${error.message}`));
  session.on('draining', () => say('the hoster is draining'));
}
