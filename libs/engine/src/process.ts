/** Entry of the engine process: `node process.js --socket <path>`. See docs/engine-protocol.md. */
import './no-telemetry';
import { readdirSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';
import { CabstandError, every, sleep, systemClock } from '@cabstand/core';
import { Connection } from './connection';
import type { Frame } from './frames/codec';
import { EXIT_STALLED, PROTOCOL_VERSION } from './frames/types';
import type { LoadFrame } from './frames/types';
import { describeRuntime } from './graphs/onnx-runtime';
import { loadRuntime } from './load-runtime';
import { parseProcessOptions } from './options';
import type { Runtime } from './runtime/runtime';
import { warmUp } from './warm';

const STATS_PERIOD_MS = 1000;
/** An engine that has no model by then is a spare, and uses its time. */
const SPARE_AFTER_MS = 50;
/** A last frame that main does not read is given up. */
const LAST_WORDS_MS = 1000;
/** How long a module that is being loaded has to let go. */
const GIVE_UP_MS = 2000;

type State =
  | { readonly name: 'waiting' }
  /** `over` resolves however the load ends. */
  | { readonly name: 'loading'; readonly giveUp: AbortController; readonly over: Promise<void> }
  | { readonly name: 'serving'; readonly runtime: Runtime }
  /** FAILED is on its way; the process exits after it. */
  | { readonly name: 'failing' }
  /** What it serves is being ended; the process exits after it. */
  | { readonly name: 'leaving' };

function main(): void {
  const options = parseProcessOptions(process.argv.slice(2));
  let state: State = { name: 'waiting' };
  let greeted = false;

  const connection = new Connection(options.socket, options.maxFrameBytes, {
    onFrame: (frame) => take(frame),
    onGarbage: (error) => void fail(error),
    // Main is gone, or has closed the socket to say so.
    onClose: () => {
      if (state.name === 'failing') return;
      if (greeted) void leave();
      else process.exit(1);
    },
  });

  const fail = async (error: unknown): Promise<void> => {
    if (state.name === 'failing') return;
    state = { name: 'failing' };
    const { reason, message, metadata } = CabstandError.from(error);
    process.stderr.write(`engine: ${reason}: ${message}\n`);
    const code = reason === 'ENGINE_STALLED' ? EXIT_STALLED : 1;
    setTimeout(() => process.exit(code), LAST_WORDS_MS);
    await connection.sendLast({ type: 'FAILED', reason, message, metadata: { ...metadata } });
    process.exit(code);
  };
  const leave = async (): Promise<void> => {
    if (state.name === 'leaving') return;
    const left = state;
    state = { name: 'leaving' };
    if (await ended(left)) process.exit(0);
    // Its code may be in ONNX Runtime, where a process that exits would abort.
    process.kill(process.pid, 'SIGKILL');
  };
  process.on('uncaughtException', (error) => void fail(error));
  process.on('unhandledRejection', (error) => void fail(error));
  // A terminal's Ctrl-C reaches the whole group: it is main that ends its engines.
  process.on('SIGINT', () => undefined);

  const take = (frame: Frame): void => {
    if (state.name === 'leaving') return;
    switch (frame.type) {
      case 'LOAD':
        if (state.name === 'waiting') void load(frame).catch(fail);
        else void fail(outOfPlace(frame, state));
        return;
      case 'SHUTDOWN':
        void leave();
        return;
      case 'OPEN':
      case 'TURN':
      case 'INPUT':
      case 'CREDITS':
      case 'CANCEL':
      case 'CLOSE':
      case 'SNAPSHOT':
      case 'COMMAND':
      case 'STOP':
      case 'READERS':
        if (state.name === 'serving') state.runtime.handle(frame);
        else void fail(outOfPlace(frame, state));
        return;
      default:
        void fail(outOfPlace(frame, state));
    }
  };

  const load = async (frame: LoadFrame): Promise<void> => {
    const giveUp = new AbortController();
    beNice(frame.nice);
    const loading = loadRuntime(frame, connection, giveUp.signal);
    const settled = (): void => undefined;
    state = { name: 'loading', giveUp, over: loading.then(settled, settled) };
    const runtime: Runtime | undefined = await loading.catch((error: unknown) => {
      if (!giveUp.signal.aborted) throw error;
      return undefined;
    });
    if (runtime === undefined || giveUp.signal.aborted) return;
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

/** False where code of the model's still runs. */
async function ended(state: State): Promise<boolean> {
  if (state.name === 'serving') return await state.runtime.unload();
  if (state.name !== 'loading') return true;
  const { giveUp, over } = state;
  giveUp.abort();
  const late = sleep(GIVE_UP_MS).then(() => false);
  return await Promise.race([over.then(() => true), late]);
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

function outOfPlace(frame: Frame, state: State): CabstandError {
  return new CabstandError('INVALID_ARGUMENT', `frame ${frame.type} while ${state.name}`);
}

/**
 * Below main in the eyes of the scheduler, whatever main is nice to itself. Not being allowed to is no reason to
 * fail.
 */
function beNice(nice: number): void {
  if (nice <= 0) return;
  const niceness = Math.min(19, getPriority() + Math.round(nice));
  try {
    setPriority(niceness);
    // On Linux each thread has its own, and long runs are on those that are there already.
    if (process.platform === 'linux')
      for (const thread of readdirSync('/proc/self/task')) setPriority(Number(thread), niceness);
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
