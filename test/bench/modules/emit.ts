/** What an engine's module emits in a second, and what a bare copy of the same bytes between two processes takes. */
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { sleep } from '@cabstand/core';
import { cpuSeconds } from '../../support/processes';
import { load } from '../load';
import { heading, print } from '../report';
import { show, spread } from '../stats';
import { BenchEngine, recordsOf } from './engine';
import { SMALL } from './models';

export interface EmitOptions {
  readonly pairs: number;
  readonly seconds: number;
}

const WARM_SECONDS = 0.5;
/** float32 elements of a record of 1 MB. */
const LARGE = 250_000;
const AHEAD = 8;
const LEAST_RECORDS = 20_000;

interface Emitted {
  /** Records a second. */
  readonly rate: number;
  /** Processor time of the process that sends, all of its threads, in µs a record. */
  readonly sender: number;
  /** Of this process, the reader. */
  readonly reader: number;
}

/** What has come since, by the time that what it gave is called. @param pid of who sends */
function watch(pid: number, records: () => number): () => Emitted {
  const own = (): number => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  };
  const begun = { records: records(), sender: cpuSeconds(pid), own: own(), at: performance.now() };
  return () => {
    const count = records() - begun.records;
    return {
      rate: (count * 1000) / (performance.now() - begun.at),
      sender: ((cpuSeconds(pid) - begun.sender) * 1e6) / count,
      reader: ((own() - begun.own) * 1e6) / count,
    };
  };
}

/** A session of the emitter, whose records are given back as credit when they come. */
async function emitRound(
  engine: BenchEngine,
  elements: number,
  window: number,
  seconds: number,
): Promise<Emitted> {
  let records = 0;
  const sequence = engine.begin(window, { elements });
  const stop = engine.listen((frames) => {
    const came = recordsOf(frames);
    if (came.length === 0) return;
    records += came.length;
    const bytes = came.reduce((sum, { body }) => sum + body.length, 0);
    engine.send({ type: 'CREDITS', credits: [{ sequence, records: came.length, bytes }] });
  });
  await sleep(WARM_SECONDS * 1000);
  const look = watch(engine.pid, () => records);
  await sleep(seconds * 1000);
  const measured = look();
  await engine.end(sequence);
  stop();
  return measured;
}

/** Through a Unix socket from another process that does nothing else. */
async function copyRound(size: number, seconds: number): Promise<Emitted> {
  const folder = mkdtempSync(path.join(tmpdir(), 'cabstand-copy-'));
  const server = createServer();
  const socketPath = path.join(folder, 'socket');
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  const connected = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const child = fork(path.join(__dirname, 'copier.js'), [socketPath, String(size)]);
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const socket = await connected;
  let bytes = 0;
  socket.on('error', () => undefined);
  socket.on('data', (came: Buffer) => (bytes += came.length));
  await sleep(WARM_SECONDS * 1000);
  const look = watch(child.pid ?? 0, () => bytes / size);
  await sleep(seconds * 1000);
  const measured = look();
  socket.destroy();
  await exited;
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true });
  return measured;
}

/** All in turns, so that what else the machine does strikes all of them. */
export async function benchEmit(folder: string, { pairs, seconds }: EmitOptions): Promise<void> {
  await using engine = await BenchEngine.start(folder);
  const streamed: Emitted[] = [];
  const alone: Emitted[] = [];
  const large: Emitted[] = [];
  const copied: Emitted[] = [];
  const loads: number[] = [];
  for (let pair = 0; pair < pairs; pair += 1) {
    loads.push(load());
    streamed.push(await emitRound(engine, SMALL, 64, seconds));
    alone.push(await emitRound(engine, SMALL, 1, seconds));
    large.push(await emitRound(engine, LARGE, AHEAD, seconds));
    copied.push(await copyRound(LARGE * 4, seconds));
  }
  const rate = spread(streamed.map((round) => round.rate));
  const over = (rounds: readonly Emitted[], value: (round: Emitted) => number): string =>
    show(spread(rounds.map((round, i) => value(round) / value(copied[i] ?? round))));
  heading(
    'emit, from the author’s call to a reader at the other end of the engine’s Unix socket',
    `${pairs} rounds of ${seconds} s each; load of the machine ${show(spread(loads), 1)}`,
  );
  print([
    {
      what: '2 KB, 64 records ahead: records a second',
      value: show(rate, 0),
      target: { text: `at least ${LEAST_RECORDS}`, met: rate.median >= LEAST_RECORDS },
    },
    ...costs('2 KB, 64 records ahead', streamed),
    { what: '2 KB, one at a time: µs there and back', value: of(alone, (r) => 1e6 / r.rate) },
    ...costs('2 KB, one at a time', alone),
    { what: '1 MB, 8 records ahead: records a second', value: of(large, (r) => r.rate) },
    { what: '1 MB, 8 records ahead: GB a second', value: show(spread(large.map(gigabytes))) },
    ...costs('1 MB, 8 records ahead', large),
    { what: 'bare copy of 1 MB: GB a second', value: show(spread(copied.map(gigabytes))) },
    ...costs('bare copy of 1 MB', copied),
    { what: '1 MB over the bare copy: bytes a second', value: over(large, ({ rate }) => rate) },
    { what: '1 MB over the bare copy: processor time of both', value: over(large, both) },
  ]);
}

const gigabytes = ({ rate }: Emitted): number => (rate * LARGE * 4) / 1e9;
const both = ({ sender, reader }: Emitted): number => sender + reader;

function of(rounds: readonly Emitted[], value: (round: Emitted) => number): string {
  return show(spread(rounds.map(value)), 1);
}

function costs(what: string, rounds: readonly Emitted[]): { what: string; value: string }[] {
  return [
    { what: `${what}: sender, µs of processor a record`, value: of(rounds, (r) => r.sender) },
    { what: `${what}: reader, µs of processor a record`, value: of(rounds, (r) => r.reader) },
  ];
}
