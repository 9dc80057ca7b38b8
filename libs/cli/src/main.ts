#!/usr/bin/env node
import { CabstandError } from '@cabstand/core';
import { runCli } from './program';

// grpc-js names servers by IP address; whoever runs a command can do nothing about that.
process.noDeprecation = true;

const controller = new AbortController();
const STATUS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;
let interrupted: number | undefined;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => {
    // The second one does not wait for anything. (A closing terminal may send several of a kind.)
    if (interrupted !== undefined && signal === 'SIGINT') process.exit(STATUS[signal]);
    interrupted ??= STATUS[signal];
    controller.abort(new CabstandError('CANCELLED', 'interrupted'));
  });

/** Ends as a closed terminal ends programs. Node's own exit aborts where the terminal is gone. */
function hangUp(): void {
  process.removeAllListeners('SIGHUP');
  process.kill(process.pid, 'SIGHUP');
}

let readerGone = false;
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE' && error.code !== 'EIO') throw error;
  // `cabstand infer … | head`, or the terminal was closed: enough was read.
  readerGone = true;
  controller.abort(new CabstandError('CANCELLED', 'nobody reads the output'));
});
// A closed terminal takes no notes; there is nobody to tell.
process.stderr.on('error', () => undefined);

void runCli(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  stdin: process.stdin,
  env: process.env,
  signal: controller.signal,
}).then((code) => {
  // Ended as asked counts as success where the command says so; otherwise the signal's own status.
  process.exitCode = readerGone ? 0 : code === 130 ? (interrupted ?? code) : code;
  if (interrupted === STATUS.SIGHUP) hangUp();
  // Whatever a library may still hold open must not keep a finished command alive.
  if (process.stdout.destroyed) process.exit();
  process.stdout.write('', () => process.exit());
});
