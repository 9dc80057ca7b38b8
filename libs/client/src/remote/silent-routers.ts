import { CabstandError, backoffDelay, sleep } from '@cabstand/core';
import type { Clock } from '@cabstand/core';

/** A router that took longer than this to fail kept its caller waiting. One that refuses takes no time. */
export const SILENT_AFTER_MS = 250;

/** Pauses between probes, drawn between half of the ceiling and all of it. */
const PROBES = { initialMs: 1_000, maxMs: 30_000 };

/**
 * Routers that kept a caller waiting and said nothing: a process that stands still, a machine that is
 * gone. Nobody else is to wait for them, so they are tried in the background, after pauses that grow,
 * until they answer.
 */
export class SilentRouters {
  readonly #probe: (address: string, signal: AbortSignal) => Promise<unknown>;
  readonly #clock: Clock;
  readonly #random: () => number;
  /** How to end the probing of each. */
  readonly #probing = new Map<string, AbortController>();
  /** Those who wait for each; no signal, which minds many listeners. */
  readonly #waiting = new Map<string, Set<(error: CabstandError) => void>>();
  #closed = false;

  /** @param probe resolves where the router answers, whatever it says */
  constructor(
    probe: (address: string, signal: AbortSignal) => Promise<unknown>,
    clock: Clock,
    random: () => number,
  ) {
    this.#probe = probe;
    this.#clock = clock;
    this.#random = random;
  }

  has(address: string): boolean {
    return this.#probing.has(address);
  }

  /** It was found silent. */
  add(address: string): void {
    if (this.#closed) return;
    const silence = new CabstandError('NODE_UNREACHABLE', `router ${address} does not answer`);
    for (const told of [...(this.#waiting.get(address) ?? [])]) told(silence);
    if (this.#probing.has(address)) return;
    const probing = new AbortController();
    this.#probing.set(address, probing);
    void this.#untilAnswer(address, probing.signal);
  }

  /** It answered somebody. */
  answered(address: string): void {
    this.#probing.get(address)?.abort();
    this.#probing.delete(address);
  }

  /** Calls back when anybody finds the router silent; the function it gives ends that. */
  onFound(address: string, told: (error: CabstandError) => void): () => void {
    const waiting = this.#waiting.get(address) ?? new Set();
    this.#waiting.set(address, waiting.add(told));
    return () => waiting.delete(told);
  }

  close(): void {
    this.#closed = true;
    for (const address of [...this.#probing.keys()]) this.answered(address);
  }

  async #untilAnswer(address: string, signal: AbortSignal): Promise<void> {
    const random = (): number => 0.5 + this.#random() / 2;
    for (let probes = 0; !signal.aborted; probes++) {
      try {
        await sleep(backoffDelay(probes, { ...PROBES, random }), signal, this.#clock);
        await this.#probe(address, signal);
        this.answered(address);
      } catch {
        // Silent still, or nobody wants to know any more.
      }
    }
  }
}
