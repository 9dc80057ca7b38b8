import { RemoteManager, SessionManager } from '@cabstand/client';
import type { ConnectionOptions } from '@cabstand/client';
import type { v1 } from '@cabstand/rpc';
import type { Terminal } from './terminal';
import { describeError } from './errors';
import { turnsOf } from './media/turns';
import type { InputFlags } from './media/turns';
import { rendererFor } from './render/choose';
import { printable } from './render/style';
import { runTurn } from './run-turn';
import type { Connection } from './subnet/connection';
import { demoAsset } from './subnet/layout';

interface Demo {
  readonly model: string;
  readonly title: string;
  readonly input: () => InputFlags | undefined;
}

const asset =
  (flag: 'wav' | 'image', ...names: readonly string[]) =>
  (): InputFlags | undefined => {
    const files = names.map(demoAsset).filter((file) => file !== undefined);
    return files.length === 0 ? undefined : { [flag]: files };
  };

const DEMOS: readonly Demo[] = [
  {
    model: 'silero-vad',
    title: 'where somebody speaks in a recording, 32 ms a step',
    input: asset('wav', 'speech.wav'),
  },
  {
    model: 'g2p',
    title: 'how words are spoken, one phoneme a step',
    input: () => ({ text: ['taxi', 'passenger', 'rank', 'journey'] }),
  },
  {
    model: 'text-orientation',
    title: 'which way up two pictures of text are',
    input: asset('image', 'text-upright.png', 'text-upside-down.png'),
  },
];

/** Streams a session of each bundled model to the terminal. False if one failed, which is told. */
export async function runDemo(
  terminal: Terminal,
  connection: Connection,
  options: ConnectionOptions,
): Promise<boolean> {
  let fine = true;
  const attempt = async (act: () => Promise<void>): Promise<void> => {
    try {
      await act();
    } catch (error) {
      terminal.signal.throwIfAborted();
      fine = false;
      await terminal.out(terminal.style.red(`${describeError(error)}\n`));
    }
  };
  await attempt(async () => {
    const { info } = await connection.anyHoster(undefined, []);
    await using remote = new RemoteManager({ routers: connection.routers, ...options });
    await using sessions = new SessionManager(remote);
    for (const demo of DEMOS) {
      const model = info.models.find(({ offer }) => offer?.name === demo.model);
      const input = demo.input();
      if (model === undefined || input === undefined) continue;
      await terminal.out(`\n${terminal.style.bold(demo.model)}  ${demo.title}\n`);
      await attempt(() => runSession(sessions, model, input, terminal));
    }
  });
  return fine;
}

async function runSession(
  sessions: SessionManager,
  model: v1.ModelInfo__Output,
  input: InputFlags,
  terminal: Terminal,
): Promise<void> {
  const { signal, style } = terminal;
  await using session = await sessions.session({ model: model.offer?.name ?? '', signal });
  for await (const turn of turnsOf(input, model, process.stdin)) {
    if (turn.kind === 'whole')
      await terminal.out(
        turn.prompt === undefined
          ? `${style.dim(turn.label.split('/').at(-1) ?? '')}\n`
          : printable(turn.prompt).padEnd(12),
      );
    const renderer = rendererFor(model, {
      format: 'readable',
      columns: terminal.columns,
      interactive: terminal.interactive,
      style,
    });
    await runTurn(session, turn, renderer, (text) => terminal.out(text), { signal });
  }
}
