/** Entry of the author's thread: one for all sessions of a model. Main keeps the socket, so that it may block. */
import '../../no-telemetry';
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { LogLevel } from '../../frames/module-frames';
import { loadAuthor } from './author';
import { authorLog, redirectConsole } from './author-log';
import { AuthorThread } from './author-thread';
import { environment } from './environment';
import { failureOf, placeIn, stackOf } from './failure';
import type { FromThread, ThreadData, ToThread } from './messages';

/** A test of a module has its sessions take turns at each call. */
const slice = process.env.CABSTAND_MODULE_SLICE_MS;
const sliceMs = slice === undefined ? undefined : Number(slice);

const data = workerData as ThreadData;
const unloading = new AbortController();
let thread: AuthorThread | undefined;

function tell(message: FromThread, transfer: readonly ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, transfer);
}

function receive(): ToThread | undefined {
  if (parentPort === null) return undefined;
  return (receiveMessageOnPort(parentPort) as { message: ToThread } | undefined)?.message;
}

function log(level: LogLevel, message: string): void {
  if (thread === undefined) tell({ kind: 'log', level, message });
  else thread.log(level, message);
}

/** What nobody caught ends the session that it belongs to, and no other. */
function stray(thrown: unknown): void {
  if (thread === undefined) log('error', `not caught: ${stackOf(thrown)}`);
  else thread.stray(thrown);
}

async function load(): Promise<void> {
  const progress = (stage: string): void => tell({ kind: 'progress', stage });
  const env = environment(data, authorLog(log), unloading.signal, progress);
  const author = await loadAuthor(data, env, progress);
  const { commands, stateVersion } = author;
  thread = new AuthorThread(data, author, { receive, tell }, sliceMs);
  tell({ kind: 'loaded', module: { commands: commands.descriptions, stateVersion } });
}

redirectConsole(log);
process.on('unhandledRejection', stray);
process.on('uncaughtException', stray);
parentPort?.on('message', (message: ToThread) => {
  if (message.kind === 'unload') unloading.abort();
  if (thread !== undefined) thread.take(message);
  else if (message.kind === 'unload') tell({ kind: 'unloaded' });
});
load().catch((error: unknown) => {
  log('error', stackOf(error));
  const { message, ...rest } = failureOf(error);
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const place = placeIn(stackOf(cause), data.folder);
  // What reads the file says the place, too.
  const told = place === undefined ? message : message.replace(` ${place}`, '');
  const sentence = place === undefined ? told : `${place}: ${told}`;
  tell({ kind: 'failed', error: { ...rest, message: sentence } });
});
