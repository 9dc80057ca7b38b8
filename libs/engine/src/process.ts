/** Entry of the engine process: `node process.js --socket <path>`. See docs/engine-protocol.md. */
import './no-telemetry';
import { setPriority } from 'node:os';
import { CabstandError, every, systemClock } from '@cabstand/core';
import { Connection } from './connection';
import type { Frame } from './frames/codec';
import { PROTOCOL_VERSION } from './frames/types';
import type { LoadFrame } from './frames/types';
import { describeRuntime } from './graphs/onnx-runtime';
import { parseProcessOptions } from './options';
import type { Runtime } from './runtime/runtime';
import { StepRuntime } from './runtime/step-runtime';
import { warmUp } from './warm';

const STATS_PERIOD_MS = 1000;
/** An engine that has no model by then is a spare, and uses its time. */
const SPARE_AFTER_MS = 50;
/** A last frame that main does not read is given up. */
const LAST_WORDS_MS = 1000;

type State =
  | { readonly name: 'waiting' }
  | { readonly name: 'loading' }
  | { readonly name: 'serving'; readonly runtime: Runtime }
  /** FAILED is on its way; the process exits after it. */
  | { readonly name: 'failing' };

function main(): void {
  const options = parseProcessOptions(process.argv.slice(2));
  let state: State = { name: 'waiting' };
  let greeted = false;

  const connection = new Connection(options.socket, options.maxFrameBytes, {
    onFrame: (frame) => take(frame),
    onGarbage: (error) => void fail(error),
    // Main is gone, or has closed the socket to say so.
    onClose: () => process.exit(state.name === 'failing' || !greeted ? 1 : 0),
  });

  const fail = async (error: unknown): Promise<void> => {
    if (state.name === 'failing') return;
    state = { name: 'failing' };
    const { reason, message, metadata } = CabstandError.from(error);
    process.stderr.write(`engine: ${reason}: ${message}\n`);
    setTimeout(() => process.exit(1), LAST_WORDS_MS);
    await connection.sendLast({ type: 'FAILED', reason, message, metadata: { ...metadata } });
    process.exit(1);
  };
  process.on('uncaughtException', (error) => void fail(error));
  process.on('unhandledRejection', (error) => void fail(error));
  // A terminal's Ctrl-C reaches the whole group: it is main that ends its engines.
  process.on('SIGINT', () => undefined);

  const take = (frame: Frame): void => {
    switch (frame.type) {
      case 'LOAD':
        if (state.name === 'waiting') void load(frame).catch(fail);
        else void fail(outOfPlace(frame, state));
        return;
      case 'SHUTDOWN':
        process.exit(0);
        return;
      case 'OPEN':
      case 'TURN':
      case 'INPUT':
      case 'CREDITS':
      case 'CANCEL':
      case 'CLOSE':
      case 'SNAPSHOT':
        if (state.name === 'serving') state.runtime.handle(frame);
        else void fail(outOfPlace(frame, state));
        return;
      default:
        void fail(outOfPlace(frame, state));
    }
  };

  const load = async (frame: LoadFrame): Promise<void> => {
    state = { name: 'loading' };
    beNice(frame.nice);
    const runtime: Runtime = await StepRuntime.load(frame, connection);
    state = { name: 'serving', runtime };
    connection.send(runtime.loaded);
    every(systemClock, STATS_PERIOD_MS, () => {
      if (connection.behind) return;
      connection.send({
        type: 'STATS',
        ...runtime.stats,
        rssBytes: process.memoryUsage.rss(),
        cpuSeconds: cpuSeconds(),
      });
    });
    await runtime.run(new AbortController().signal);
  };

  connection.send({
    type: 'HELLO',
    protocol: PROTOCOL_VERSION,
    pid: process.pid,
    runtime: describeRuntime(),
  });
  greeted = true;
  setTimeout(() => {
    // A failure will come again at LOAD, and is told there.
    if (state.name === 'waiting') void warmUp().catch(() => undefined);
  }, SPARE_AFTER_MS);
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

function outOfPlace(frame: Frame, state: State): CabstandError {
  return new CabstandError('INVALID_ARGUMENT', `frame ${frame.type} while ${state.name}`);
}

/** Below main in the eyes of the scheduler; not being allowed to is no reason to fail. */
function beNice(nice: number): void {
  try {
    if (nice > 0) setPriority(Math.min(19, Math.round(nice)));
  } catch (error) {
    process.stderr.write(
      `engine: niceness ${nice} refused: ${CabstandError.from(error).message}\n`,
    );
  }
}

try {
  main();
} catch (error) {
  process.stderr.write(`engine: ${CabstandError.from(error).message}\n`);
  process.exit(2);
}
