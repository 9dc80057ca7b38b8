import type { Session, SessionManager } from '@cabstand/client';
import type { v1 } from '@cabstand/rpc';
import type { CliContext } from './context';
import { FramedCount } from './media/short-input';
import type { TurnSource } from './media/turns';
import { drawsInPlace, rendererFor, renderOptions } from './render/choose';
import type { RenderOptions } from './render/choose';
import { LiveArea } from './render/live-area';
import { tellMessages } from './render/messages';
import type { OutputRenderer } from './render/output';
import { printable } from './render/style';
import { runTurn } from './run-turn';
import { readLines } from './steer/prompt';
import { Steering } from './steer/steering';
import type { Terminal } from './terminal';

export interface SessionWishes {
  readonly model: string;
  readonly format: RenderOptions['format'];
  readonly parameters: Readonly<Record<string, unknown>> | undefined;
  /** Lines of stdin are commands. */
  readonly interactive: boolean;
}

/** Runs a turn of the session and prints its records. */
export type Run = (
  source: TurnSource,
  wrap?: (renderer: OutputRenderer) => OutputRenderer,
) => Promise<void>;

/** A session whose turns are shown as they come, with what else it tells. */
export function openSession(
  context: CliContext,
  wishes: SessionWishes,
  model: v1.ModelInfo__Output,
  manager: SessionManager,
): Run {
  const { terminal, stdin } = context;
  const { signal } = terminal;
  const { format, parameters, interactive } = wishes;
  const session = manager.session({ model: wishes.model, signal });
  const area = terminal.redraws && format === 'readable' ? new LiveArea() : undefined;
  /** A line among the results, above what is drawn in place. */
  const above = (text: string): void => void terminal.out(area?.above(text) ?? text);
  tellMessages(session, terminal.style, format, above);
  // Remarks on stderr would go through what is drawn.
  const note = (text: string): void =>
    interactive && area !== undefined
      ? above(`${terminal.style.dim(printable(text))}\n`)
      : say(terminal, text);
  if (format === 'readable') tellProgress(session, note);
  const steer = (): (() => void) => {
    const steering = new Steering(session, model, terminal.style, above);
    if (area !== undefined) above(terminal.style.dim('help lists the commands; Ctrl-C stops\n'));
    return readLines({
      ...{ stdin, area: stdin.isTTY ? area : undefined, columns: () => terminal.columns },
      write: (text) => void terminal.out(text),
      line: (line) => void steering.line(line),
      interrupt: () => {
        if (steering.stop()) note('stopping; Ctrl-C again ends at once');
        // What Ctrl-C does where nobody reads keys.
        else process.kill(process.pid, 'SIGINT');
      },
    });
  };
  return async (source, wrap = (renderer) => renderer) => {
    if (source.converted !== undefined) note(source.converted);
    const count = new FramedCount(model);
    const chosen = rendererFor(model, renderOptions(terminal, format, area));
    const drawn = drawsInPlace(model) && format === 'readable';
    const renderer = drawn || area === undefined || !interactive ? chosen : over(chosen, area);
    const reading: { over: boolean; close?: () => void } = { over: false };
    const begin = (): void => {
      if (!reading.over) reading.close ??= steer();
    };
    // The turn takes commands once whoever waited for the opening has gone on.
    if (interactive) session.once('opened', () => setImmediate(begin));
    try {
      const { steps } = await runTurn(
        session,
        source,
        wrap(renderer),
        (text) => terminal.out(text),
        { signal, sent: count.add, ...(parameters === undefined ? {} : { parameters }) },
      );
      if (steps === 0 && count.tooShort !== undefined) note(count.tooShort);
    } finally {
      reading.over = true;
      reading.close?.();
    }
  };
}

/** What another renderer prints goes by above the line that is typed. */
function over(renderer: OutputRenderer, area: LiveArea): OutputRenderer {
  return {
    chunk: (chunk) => area.above(renderer.chunk(chunk)),
    finish: (end) => area.above(renderer.finish(end)),
  };
}

function tellProgress(session: Session, note: (text: string) => void): void {
  session.on('queued', ({ position }) =>
    note(`waiting for a slot, ${position} before this session`),
  );
  session.on('retry', ({ error }) => note(`trying again: ${error.message}`));
  session.on('draining', () => note('the hoster is draining'));
}

function say(terminal: Terminal, text: string): void {
  terminal.note(`${terminal.noteStyle.dim(printable(text))}\n`);
}
