import assert from 'node:assert/strict';
import { HosterService, RpcClient } from '@cabstand/rpc';
import type { BidiStream, v1 } from '@cabstand/rpc';
import { float32Of, fromWire, tensorOf, toWire } from '@cabstand/tensor';
import type { Service, Subnet } from '@cabstand/testing';
import { speech, variation } from './audio';
import { enginesOf, isAlive } from './processes';
import { SileroReference } from './silero-reference';

const FRAME = 512;
const FRAMES_KEPT = 20_000;
const PAUSE_MS = 4;
/** Fewer would prove nothing. */
const LEAST_FRAMES = 100;

/** A session that streams live audio all the while, one frame after another. */
class Bystander {
  readonly #audio = variation(speech(), 5, FRAME * FRAMES_KEPT);
  readonly #values: number[] = [];
  readonly #client: RpcClient;
  readonly #stream: BidiStream<v1.SessionStreamRequest, v1.SessionStreamResponse__Output>;
  readonly #done: Promise<void>;
  /** `ending`: the next part is the last one. */
  #state: 'streaming' | 'ending' | 'ended' = 'streaming';

  constructor(subnet: Subnet, hoster: Service) {
    this.#client = new RpcClient(hoster.address, { authorizer: subnet.authorizer('client') });
    this.#stream = this.#client.bidi(HosterService.rpc_session_stream);
    this.#done = this.#run();
    // Awaited in `finish`; a failure before that must not end the test process.
    this.#done.catch(() => undefined);
  }

  async #run(): Promise<void> {
    const stream = this.#stream;
    await stream.send({ open: { model: 'silero-vad' } });
    await stream.send({ turn: { turn: 0, live: true } });
    let part = 0;
    let position = 0;
    await this.#part(part++);
    for await (const { record, closed } of stream.responses) {
      if (closed) break;
      if (!record) continue;
      if (record.position !== position++)
        throw new Error(`position ${String(record.position)}, not ${String(position - 1)}`);
      const [output] = record.chunk?.outputs ?? [];
      if (output === undefined) {
        if (record.end_of_turn?.reason !== 'END_REASON_COMPLETED')
          throw new Error(`the turn ended: ${JSON.stringify(record.end_of_turn)}`);
        stream.end();
        continue;
      }
      this.#values.push(float32Of(fromWire(output))[0] ?? NaN);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      if (part === FRAMES_KEPT) throw new Error('the bystander has no more audio');
      await this.#part(part++);
    }
  }

  async #part(part: number): Promise<void> {
    if (this.#state === 'ended') return;
    const samples = this.#audio.subarray(part * FRAME, (part + 1) * FRAME);
    const last = this.#state === 'ending' && part >= LEAST_FRAMES;
    if (last) this.#state = 'ended';
    const inputs = [toWire(tensorOf('audio', samples))];
    await this.#stream.send({ input: { turn: 0, part, inputs, last } });
  }

  /** Ends the session; answers what it heard and what it should have heard. */
  async finish(): Promise<{ readonly heard: Float32Array; readonly wanted: Float32Array }> {
    this.#state = 'ending';
    await this.#done;
    this.#client.close();
    const heard = Float32Array.from(this.#values);
    const reference = await SileroReference.load();
    const wanted = await reference.probabilities(this.#audio.subarray(0, heard.length * FRAME));
    return { heard, wanted };
  }
}

/**
 * Watches that what a test does harms nobody else: on each hoster a session streams all the while, and
 * no process is replaced.
 */
export class Unharmed {
  readonly #subnet: Subnet;
  readonly #engines: number[][];
  readonly #bystanders: Bystander[];

  constructor(subnet: Subnet) {
    this.#subnet = subnet;
    this.#engines = enginesOf(subnet);
    this.#bystanders = subnet.hosters.map((hoster) => new Bystander(subnet, hoster));
  }

  /** No engine has been replaced, and all services run. */
  checkProcesses(): void {
    const gone = this.#engines.flat().filter((pid) => !isAlive(pid));
    assert.deepEqual(gone, [], 'engines are gone');
    for (const engines of this.#engines) assert.ok(engines.length > 0, 'there are engines');
    for (const { child } of [...this.#subnet.routers, ...this.#subnet.hosters])
      assert.ok(child.running, `${child.name} runs`);
  }

  /** And each bystander got all of its records, in order, with the right values. */
  async check(): Promise<void> {
    this.checkProcesses();
    for (const bystander of this.#bystanders) {
      const { heard, wanted } = await bystander.finish();
      assert.ok(heard.length > LEAST_FRAMES, `only ${String(heard.length)} records`);
      assert.deepEqual([...heard], [...wanted]);
    }
  }
}
