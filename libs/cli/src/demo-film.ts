import type { SessionManager } from '@cabstand/client';
import { every, systemClock } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import type { v1 } from '@cabstand/rpc';
import { rendererFor, renderOptions } from './render/choose';
import { pictureOutput } from './render/frames';
import { LiveArea } from './render/live-area';
import type { OutputRenderer } from './render/output';
import { runTurn } from './run-turn';
import { exampleCommands } from './steer/examples';
import { Steering } from './steer/steering';
import type { Terminal } from './terminal';

/** From one command to the next, and from the last one to the end. */
const SCENE_MS = 1300;
/** More are not shown. */
const MOST_COMMANDS = 5;
/** Where no film can be drawn in place, a line is written for a picture now and then. */
const LINE_MS = 500;

/** A module that needs nothing to draw pictures: a prompt of a module may be empty. */
export function isFilm(model: v1.ModelInfo__Output): boolean {
  return (
    model.offer?.kind === 'module' &&
    model.state === 'MODEL_STATE_READY' &&
    model.inputs.length === 0 &&
    pictureOutput(model) !== undefined
  );
}

/** Draws a few seconds of a module's pictures, and steers it by its own commands. */
export async function runFilm(
  sessions: SessionManager,
  model: v1.ModelInfo__Output,
  terminal: Terminal,
): Promise<void> {
  const { signal, style } = terminal;
  await using session = sessions.session({ model: model.offer?.name ?? '', signal });
  const area = terminal.redraws ? new LiveArea() : undefined;
  const say = (text: string): void => void terminal.out(area?.above(text) ?? text);
  const steering = new Steering(session, model, style, say);
  const options = {
    ...renderOptions(terminal, 'readable', area),
    // What came before stays on the screen.
    rows: Math.floor(terminal.rows / 2),
  };
  const renderer = rendererFor(model, options);
  const script = new Script(exampleCommands(model).slice(0, MOST_COMMANDS), {
    command: (line) => {
      say(style.bold(`> ${line}\n`));
      void steering.line(line);
    },
    stop: () => void steering.stop(),
  });
  const source = { kind: 'whole', label: '', prompt: undefined, tensors: [] } as const;
  try {
    await runTurn(
      session,
      source,
      script.played(area === undefined ? sparse(renderer) : renderer),
      (text) => terminal.out(text),
      { signal },
    );
  } finally {
    script.end();
  }
}

interface Acts {
  readonly command: (line: string) => void;
  readonly stop: () => void;
}

/** Gives commands one after another, and stops the film behind the last: by the clock, since a film may be paused. */
export class Script {
  readonly #lines: string[];
  readonly #acts: Acts;
  readonly #clock: Clock;
  #timer: { cancel(): void } | undefined;

  constructor(lines: readonly string[], acts: Acts, clock: Clock = systemClock) {
    this.#lines = [...lines];
    this.#acts = acts;
    this.#clock = clock;
  }

  /** The first picture begins it. */
  played(renderer: OutputRenderer): OutputRenderer {
    return {
      chunk: (chunk) => {
        this.#timer ??= every(this.#clock, SCENE_MS, () => this.#next());
        return renderer.chunk(chunk);
      },
      finish: (end) => renderer.finish(end),
    };
  }

  end(): void {
    this.#timer?.cancel();
  }

  #next(): void {
    const line = this.#lines.shift();
    if (line !== undefined) this.#acts.command(line);
    else {
      this.end();
      this.#acts.stop();
    }
  }
}

/** A line for a picture now and then, in place of one for each. */
function sparse(renderer: OutputRenderer): OutputRenderer {
  let last = -Infinity;
  return {
    chunk: (chunk) => {
      const text = renderer.chunk(chunk);
      const now = performance.now();
      if (now - last < LINE_MS) return '';
      last = now;
      return text;
    },
    finish: (end) => renderer.finish(end),
  };
}
