import { sleep } from '@cabstand/core';
import { HosterService, RpcClient } from '@cabstand/rpc';
import type { Subnet } from '@cabstand/testing';
import { WORDS } from './models';

const PERIOD_MS = 200;
const TIMEOUT_MS = 20_000;

/**
 * A caller of its own who has nothing to do with the fuzzing: a turn of g2p with a known answer, five times
 * a second, at each hoster in turn. Its answers must always be right.
 */
export class Canary {
  readonly wrong: string[] = [];
  right = 0;
  readonly latencies: number[] = [];
  readonly #clients: readonly RpcClient[];
  readonly #stop = new AbortController();
  readonly #running = new Set<Promise<void>>();
  readonly #loop: Promise<void>;

  constructor(subnet: Subnet) {
    const authorizer = subnet.authorizer('admin');
    this.#clients = subnet.hosters.map(({ dialled }) => new RpcClient(dialled, { authorizer }));
    this.#loop = this.#sing();
  }

  /** Waits for the last answers. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
    await Promise.all(this.#running);
    for (const client of this.#clients) client.close();
  }

  async #sing(): Promise<void> {
    for (let number = 0; !this.#stop.signal.aborted; number++) {
      const turn = this.#turn(number).finally(() => this.#running.delete(turn));
      this.#running.add(turn);
      await sleep(PERIOD_MS);
    }
  }

  async #turn(number: number): Promise<void> {
    const client = this.#clients[number % this.#clients.length];
    const { word, phonemes } = WORDS[number % WORDS.length] ?? { word: '', phonemes: '' };
    const begun = performance.now();
    let text = '';
    try {
      const method = HosterService.rpc_inference_stream;
      const request = { model: 'g2p', prompt: word };
      for await (const { record } of client?.serverStream(method, request, {
        timeoutMs: TIMEOUT_MS,
      }) ?? [])
        text += record?.chunk?.text ?? '';
      if (text === phonemes) {
        this.right += 1;
        this.latencies.push(performance.now() - begun);
      } else this.wrong.push(`${word}: ${text} instead of ${phonemes}`);
    } catch (thrown) {
      this.wrong.push(`${word}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
    }
  }
}
