/**
 * Loads one server after another, each as its job says: streams that keep so many frames on their way and send the
 * next one when an answer comes. A process of its own, over node:http2, so that the load takes a small part of the
 * time of a frame; the parent sends jobs.
 */
import { connect } from 'node:http2';
import type { ClientHttp2Session } from 'node:http2';
import { readClips } from './clips';
import type { Clip } from './clips';
import type { Figures, Job, LoadEvent } from './messages';
import { Count, Stream } from './stream';
import { quantile } from '../stats';

/** Most connections; streams share them evenly. */
const CONNECTIONS = 16;
const OPEN_MS = 60_000;
/** From the moment that all answers were compared to the measured time. */
const SETTLE_MS = 300;
const CLOSE_MS = 3000;

const tell = (event: LoadEvent): void => void process.send?.(event);
const clips = readClips();

async function run(job: Job): Promise<void> {
  const count = new Count(job);
  const connections = Array.from({ length: Math.min(CONNECTIONS, job.streams) }, () => {
    const connection = connect(`http://${job.address}`, {
      settings: { initialWindowSize: 2 ** 20, enablePush: false },
    });
    connection.on('error', (error: Error) => count.failed.reject(error));
    return connection;
  });
  try {
    const streams = Array.from(
      { length: job.streams },
      (_, i) =>
        new Stream(
          connections[i % connections.length] as ClientHttp2Session,
          clips[i % clips.length] as Clip,
          count,
        ),
    );
    const orFail = <T>(what: Promise<T>): Promise<T> => Promise.race([what, count.failed.promise]);
    const all = (what: 'checked' | 'idle' | 'ended', ms: number): Promise<unknown> => {
      const done = Promise.all(streams.map((stream) => stream[what].promise));
      return orFail(Promise.race([done, late(ms, what)]));
    };
    await all('checked', OPEN_MS);
    await orFail(wait(SETTLE_MS));
    tell({ event: 'measured', figures: await measure(count, orFail) });
    count.sending = false;
    await all('idle', OPEN_MS);
    for (const stream of streams) stream.close();
    await all('ended', CLOSE_MS);
  } finally {
    for (const connection of connections) connection.destroy();
  }
}

async function measure(
  count: Count,
  orFail: (what: Promise<unknown>) => Promise<unknown>,
): Promise<Figures> {
  tell({ event: 'measuring' });
  const cpu = process.cpuUsage();
  const begun = performance.now();
  count.measuring = true;
  await orFail(wait(count.job.seconds * 1000));
  count.measuring = false;
  const seconds = (performance.now() - begun) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const { latencies } = count;
  return {
    frames: latencies.length,
    seconds,
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
    messages: count.messages / latencies.length,
    cpuSeconds: (user + system) / 1e6,
  };
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function late(ms: number, what: string): Promise<never> {
  await wait(ms);
  throw new Error(`not all streams were ${what} within ${ms} ms`);
}

process.on('message', (job: Job) => {
  run(job).then(
    () => tell({ event: 'over' }),
    (error: unknown) =>
      tell({ event: 'failed', error: error instanceof Error ? error.message : '' }),
  );
});
process.on('disconnect', () => process.exit(0));
