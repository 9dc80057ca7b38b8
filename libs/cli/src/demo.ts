import { RemoteManager, SessionManager } from '@cabstand/client';
import type { ConnectionOptions } from '@cabstand/client/protocol';
import type { v1 } from '@cabstand/rpc';
import type { Terminal } from './terminal';
import { describeError } from './errors';
import { isFilm, runFilm } from './demo-film';
import { turnsOf } from './media/turns';
import type { InputFlags } from './media/turns';
import { rendererFor, renderOptions } from './render/choose';
import { LiveArea } from './render/live-area';
import { tellMessages } from './render/messages';
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
    model: 'voice-events',
    title: 'the same recording heard by a program: a message for each utterance',
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
    for (const model of info.models.filter(isFilm)) {
      const { offer, description } = model;
      const title = `${terminal.style.bold(printable(offer?.name ?? ''))}  ${printable(description)}`;
      await terminal.out(`\n${title}\n`);
      await attempt(() => runFilm(sessions, model, terminal));
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
  await using session = sessions.session({ model: model.offer?.name ?? '', signal });
  const area = terminal.redraws ? new LiveArea() : undefined;
  tellMessages(session, style, 'readable', (text) => {
    void terminal.out(area?.above(text) ?? text);
  });
  for await (const turn of turnsOf(input, model, process.stdin)) {
    if (turn.kind === 'whole')
      await terminal.out(
        turn.prompt === undefined
          ? `${style.dim(turn.label.split('/').at(-1) ?? '')}\n`
          : printable(turn.prompt).padEnd(12),
      );
    const renderer = rendererFor(model, renderOptions(terminal, 'readable', area));
    await runTurn(session, turn, renderer, (text) => terminal.out(text), { signal });
  }
}
