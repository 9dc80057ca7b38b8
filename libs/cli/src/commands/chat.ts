import { text } from 'node:stream/consumers';
import { Option } from 'commander';
import type { Command } from 'commander';
import { CabstandError } from '@cabstand/core';
import { parameter, required } from '../arguments';
import { Lines } from '../chat/lines';
import { Talk } from '../chat/talk';
import type { CliContext } from '../context';
import { UsageError } from '../errors';
import { printable } from '../render/style';
import { withSubnetFlags } from '../subnet/flags';
import type { SubnetFlags } from '../subnet/flags';
import { modelInfo } from '../subnet/model-info';
import { openSessions } from '../subnet/sessions';

interface ChatFlags extends SubnetFlags {
  readonly model: string;
  readonly system?: string;
  readonly param?: Readonly<Record<string, unknown>>;
}

const TIMEOUT_MS = 30_000;

/** `cabstand chat`. */
export function registerChat(program: Command, context: CliContext): void {
  const command = program
    .command('chat')
    .summary('talk with a language model')
    .description(
      'Asks a language model that has a chat template, and prints its answers as they come.',
    );
  required(command, new Option('--model <name>', 'the model'))
    .option('--system <text>', 'what the model is told before anything else')
    .option('--param <name=value>', 'a parameter of the turns (JSON, or a string)', parameter);
  withSubnetFlags(command, TIMEOUT_MS)
    .addHelpText(
      'after',
      `
On a terminal each line is a question, and the model is told all that was said before. Ctrl-C stops an answer;
Ctrl-C once more, or Ctrl-D, ends. Otherwise stdin is one question, and stdout has its answer.

Examples:
  $ cabstand chat --model smol
  $ cabstand chat --model smol --system "Answer in one sentence." --param temperature=0.7
  $ echo "What is a router?" | cabstand chat --model smol --param max_tokens=100`,
    )
    .action((flags: ChatFlags) => chat(context, flags));
}

async function chat(context: CliContext, flags: ChatFlags): Promise<void> {
  const { terminal, env, stdin } = context;
  const { model, system, param: parameters = {} } = flags;
  const { inputs } = await modelInfo(context, flags, model);
  if (!inputs.some(({ name }) => name === 'messages'))
    throw new UsageError(
      `${model} does not take conversations: it has no chat template`,
      `\`cabstand infer --model ${model}\` says what it takes.`,
    );
  await using sessions = openSessions(flags, env, model);
  const session = sessions.manager.session({ model, signal: terminal.signal });
  const talk = new Talk(session, { system, parameters });
  if (stdin.isTTY && terminal.interactive) await talkOnTerminal(context, talk);
  else {
    const question = (await text(stdin)).trim();
    if (question === '') throw new UsageError('there is no question on stdin');
    // What becomes of it is the reader's business: characters are given as they are only to programs.
    const shown = terminal.interactive ? lines : (answer: string) => answer;
    await talk.ask(question, (answer) => terminal.out(shown(answer)), terminal.signal);
    await terminal.out('\n');
  }
}

async function talkOnTerminal({ terminal, stdin }: CliContext, talk: Talk): Promise<void> {
  let stop: AbortController | undefined;
  using typed = new Lines({
    ...{ stdin, prompt: '> ', columns: () => terminal.columns },
    write: (line) => terminal.out(line),
    interrupt: () => {
      if (stop === undefined) typed[Symbol.dispose]();
      else if (!stop.signal.aborted) stop.abort(new CabstandError('CANCELLED', 'stopped'));
      // What Ctrl-C does where nobody reads keys.
      else process.kill(process.pid, 'SIGINT');
    },
  });
  const end = (): void => typed[Symbol.dispose]();
  terminal.signal.addEventListener('abort', end, { once: true });
  for (;;) {
    const question = await typed.next();
    if (question === undefined) break;
    if (question.trim() === '') continue;
    stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, terminal.signal]);
    try {
      await talk.ask(question, (answer) => terminal.out(lines(answer)), signal);
      await terminal.out(stop.signal.aborted ? ` ${terminal.style.dim('(stopped)')}\n` : '\n');
    } catch (error) {
      if (terminal.signal.aborted) throw error;
      // The conversation is as it was: another question may be asked.
      const { message } = CabstandError.from(error);
      terminal.note(`${terminal.noteStyle.red(printable(message))}\n`);
    }
    stop = undefined;
  }
  terminal.signal.removeEventListener('abort', end);
  if (!terminal.signal.aborted) await terminal.out('\n');
}

const lines = (answer: string): string => answer.split('\n').map(printable).join('\n');
