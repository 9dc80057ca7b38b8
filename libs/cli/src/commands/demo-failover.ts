import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { RemoteManager, SessionManager } from '@cabstand/client';
import type { Chunk, LiveTurn, Session, SessionEvents } from '@cabstand/client';
import { sleep } from '@cabstand/core';
import { float32Of, tensorOf } from '@cabstand/tensor';
import type { CliContext } from '../context';
import { UsageError } from '../errors';
import { wavSamples } from '../media/audio';
import { level } from '../render/bar';
import { writeConfigs } from '../subnet/configs';
import { Connection } from '../subnet/connection';
import { findCredentials, rpcOptions } from '../subnet/credentials';
import { addressOf, demoAsset, layout } from '../subnet/layout';
import type { SubnetLayout } from '../subnet/layout';
import { makeLocalKeys } from '../subnet/local-keys';
import { LocalSubnet } from '../subnet/local-subnet';
import { onOwnPorts } from '../subnet/subnet-ports';

type Recovery = SessionEvents['recovered'][0];

const MODEL = 'silero-vad';
const OUTPUT = 'speech_probability';
/** 32 ms at 16 kHz: one record. */
const FRAME = 512;
const SAMPLE_RATE = 16_000;
const FRAME_MS = 32;
/** How long the demonstration streams. */
const FRAMES = 250;
/** The hoster dies after so many records. */
const KILL_AT = 90;
/** Records shown in one line. */
const LINE = 25;
const HOSTERS = 2;
const DRAIN_MS = 2000;
const GRACE_MS = 5000;
const CALL_TIMEOUT_MS = 5000;

/** Streams, kills, shows, compares. False if the stream was not what it should be. */
export function demoFailover(context: CliContext, models: string): Promise<boolean> {
  return onOwnPorts(2 * (HOSTERS + 1), (port) => demoAt(port, context, models));
}

async function demoAt(port: number, context: CliContext, models: string): Promise<boolean> {
  const data = mkdtempSync(path.join(tmpdir(), 'cabstand-demo-'));
  try {
    const places = layout({ data, port, adminPort: port + HOSTERS + 1, hosters: HOSTERS });
    await makeLocalKeys(places);
    return await withSubnet(context, places, models);
  } finally {
    rmSync(data, { recursive: true, force: true });
  }
}

async function withSubnet(
  context: CliContext,
  places: SubnetLayout,
  models: string,
): Promise<boolean> {
  const { terminal, env } = context;
  const rpc = rpcOptions(findCredentials({ credentials: places.keys }, {}, 'client'));
  const routers = [addressOf(places.router)];
  const { signal } = terminal;
  const connection = new Connection({ routers, rpc, timeoutMs: CALL_TIMEOUT_MS, signal });
  const subnet = new LocalSubnet({
    layout: places,
    configs: writeConfigs({
      layout: places,
      models: { repository: models },
      auth: true,
      drainMs: DRAIN_MS,
    }),
    connection,
    env: Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('CABSTAND_'))),
    tell: (name, what) => void terminal.out(`${terminal.style.dim(`${name}: ${what}`)}\n`),
    signal,
  });
  try {
    await subnet.start();
    await using remote = new RemoteManager({ routers, ...rpc });
    await using sessions = new SessionManager(remote);
    return await new Show(context, subnet, sessions).run();
  } finally {
    connection.close();
    await subnet.stop(DRAIN_MS + GRACE_MS);
  }
}

class Show {
  readonly #context: CliContext;
  readonly #subnet: LocalSubnet;
  readonly #sessions: SessionManager;
  #line = '';
  #lineFrom = 0;

  constructor(context: CliContext, subnet: LocalSubnet, sessions: SessionManager) {
    this.#context = context;
    this.#subnet = subnet;
    this.#sessions = sessions;
  }

  async run(): Promise<boolean> {
    const { style, signal } = this.#context.terminal;
    const samples = await recording();
    await this.#say(
      `\n${style.bold('One session')} hears ${String(Math.round((FRAMES * FRAME_MS) / 1000))} s of a recording as a microphone would give it, 32 ms at a time.`,
      `Each column is the answer to one of these frames: how likely somebody speaks. The model carries state from one to the next.\n`,
    );
    await using session = this.#sessions.session({ model: MODEL, durable: true, signal });
    let recovered: Recovery | undefined;
    session.on('recovered', (notice) => (recovered = notice));
    const disturbed = await this.#stream(session, samples, () => recovered);
    await this.#say('\nThe same recording through a session that nothing disturbs:');
    await using calm = this.#sessions.session({ model: MODEL, durable: true, signal });
    const undisturbed = await collect(calm, samples);
    return await this.#compare(disturbed, undisturbed, recovered);
  }

  /** Shows the stream as it comes, and kills its hoster on the way. */
  async #stream(
    session: Session,
    samples: Float32Array,
    recovered: () => Recovery | undefined,
  ): Promise<number[]> {
    const turn = session.live();
    const writing = speak(turn, samples);
    writing.catch(() => undefined);
    const values: number[] = [];
    let killed: string | undefined;
    let shown = false;
    for await (const chunk of turn) {
      const notice = recovered();
      if (notice !== undefined && !shown) {
        shown = true;
        await this.#wentOn(session, notice);
      }
      values.push(valueOf(chunk));
      await this.#column(session, chunk);
      if (values.length === KILL_AT) {
        killed = session.node?.nodeId;
        await this.#kill(session);
      }
    }
    await writing;
    await this.#endLine(session);
    if (killed === undefined) throw new Error('the recording was too short');
    return values;
  }

  async #kill(session: Session): Promise<void> {
    const { style } = this.#context.terminal;
    await this.#endLine(session);
    const name = session.node?.nodeId ?? '';
    const pid = this.#subnet.pid(name);
    if (pid === undefined) throw new Error(`${name} does not run`);
    process.kill(pid, 'SIGKILL');
    await this.#say(
      style.red(`\n  kill -9 ${String(pid)}   (${name}, which serves the session)\n`),
    );
  }

  async #wentOn(session: Session, { from, to, position, gapMs }: Recovery): Promise<void> {
    const { style } = this.#context.terminal;
    await this.#endLine(session);
    await this.#say(
      style.green(
        `\n  ${to.nodeId} goes on at position ${String(position)}, ${String(Math.round(gapMs))} ms after the loss of ${from.nodeId} was noticed\n  (a frame takes two positions: one as input, one as answer)\n`,
      ),
    );
  }

  async #column(session: Session, chunk: Chunk): Promise<void> {
    if (this.#line === '') this.#lineFrom = chunk.index;
    this.#line += level(valueOf(chunk));
    if (this.#line.length >= LINE) await this.#endLine(session);
  }

  async #endLine(session: Session): Promise<void> {
    if (this.#line === '') return;
    const { style } = this.#context.terminal;
    const from = String(this.#lineFrom).padStart(4);
    await this.#say(
      `  ${style.cyan((session.node?.nodeId ?? '').padEnd(9))} from frame ${from}  ${this.#line}`,
    );
    this.#line = '';
  }

  async #compare(
    disturbed: readonly number[],
    undisturbed: readonly number[],
    recovered: Recovery | undefined,
  ): Promise<boolean> {
    const { style } = this.#context.terminal;
    const different = undisturbed.filter((value, i) => !Object.is(value, disturbed[i])).length;
    const same = disturbed.length === undisturbed.length && different === 0;
    const count = String(undisturbed.length);
    if (!same) {
      await this.#say(
        style.red(
          `  ${String(disturbed.length)} records instead of ${count}, ${String(different)} of them different: this must not be`,
        ),
      );
      return false;
    }
    await this.#say(
      style.green(`  ${count} records here, ${count} there, each equal to the last bit.`),
      '',
      style.bold('What happened'),
      `  The hoster died without a word, with the session's state in its memory. The client noticed that`,
      `  the connection was gone, asked for another hoster, and gave it three things it had kept: the`,
      `  newest checkpoint (sealed by the first hoster), the input since then, and the number of the last`,
      `  record it had delivered. The second hoster restored the state, computed again what was missing,`,
      `  threw away what had been delivered, and went on with the next position.`,
      ...(recovered === undefined
        ? []
        : [
            `  The application read one loop of records and never saw an error (${recovered.cause.reason}).`,
          ]),
      '',
    );
    return true;
  }

  async #say(...lines: string[]): Promise<void> {
    for (const line of lines) await this.#context.terminal.out(`${line}\n`);
  }
}

/** As much of the bundled recording as is streamed. */
async function recording(): Promise<Float32Array> {
  const file = demoAsset('speech.wav');
  if (file === undefined)
    throw new UsageError(
      'the recording test/assets/speech.wav was not installed',
      'Run this from a checkout of the project.',
    );
  const samples = await wavSamples(file, SAMPLE_RATE);
  // Shorter recordings start again.
  return Float32Array.from({ length: FRAMES * FRAME }, (_, i) => samples[i % samples.length] ?? 0);
}

/** Writes as a microphone would. */
async function speak(turn: LiveTurn, samples: Float32Array): Promise<void> {
  const start = performance.now();
  for (let frame = 0; frame < FRAMES; frame++) {
    await turn.write([tensorOf('audio', samples.subarray(frame * FRAME, (frame + 1) * FRAME))]);
    await sleep(Math.max(0, start + (frame + 1) * FRAME_MS - performance.now()));
  }
  await turn.end();
}

async function collect(session: Session, samples: Float32Array): Promise<number[]> {
  const values: number[] = [];
  for await (const chunk of session.runProtocolTask(undefined, { audio: samples }))
    values.push(valueOf(chunk));
  return values;
}

function valueOf(chunk: Chunk): number {
  return float32Of(chunk.tensor(OUTPUT))[0] ?? NaN;
}
