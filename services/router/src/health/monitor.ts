import { every } from '@cabstand/core';
import { isAlive } from '../registry/node';
import { clip } from '../registry/validate';
import { kindOfFailure } from './failure';
import { Probes } from './probes';
import type { Clock, Timer } from '@cabstand/core';
import type { Bans } from './bans';
import type { Prober } from './prober';
import type { ProbeResult } from './probes';
import type { Reports } from './reports';
import type { Node } from '../registry/node';
import type { Registry } from '../registry/registry';
import type { RouterSettings } from '../options';

export interface MonitorParts {
  readonly registry: Registry;
  readonly bans: Bans;
  readonly reports: Reports;
  readonly prober: Prober;
  /** The heartbeat period for the fleet as it is now. */
  readonly periodMs: () => number;
  readonly probed: (node: Node, failure: string | undefined) => void;
  /** No probe has got to the address that the node gave. Told once for each address. */
  readonly unreachable: (node: Node, why: string) => void;
}

/** Nodes that are looked at in one go: whoever calls meanwhile waits for no more than some of the fleet. */
const AT_ONCE = 1000;
/** Between two goes, in milliseconds. */
const PAUSE_MS = 1;

/** Turns missing heartbeats, probes, the node's own opinion and reports into facts about nodes. */
export class Monitor {
  readonly probes: Probes;
  readonly #clock: Clock;
  readonly #sweepMs: number;
  #timer: Timer | undefined;
  /** Goes on with a sweep that is under way. */
  #rest: Timer | undefined;
  #lastSweep: number;

  constructor(
    private readonly settings: RouterSettings,
    private readonly parts: MonitorParts,
  ) {
    this.#clock = settings.clock;
    this.#sweepMs = settings.heartbeatPeriodMs / 4;
    this.#lastSweep = this.#clock.monotonic();
    this.probes = new Probes({
      clock: settings.clock,
      prober: parts.prober,
      timeoutMs: settings.probeTimeoutMs,
      maxConcurrent: settings.maxConcurrentProbes,
      perSecond: settings.maxProbesPerSecond,
      intervalMs: settings.probeIntervalMs,
      maxIntervalMs: settings.maxProbeIntervalMs,
      finished: (node, result) => this.#probed(node, result),
    });
  }

  start(): void {
    this.#timer ??= every(this.#clock, this.#sweepMs, () => this.sweep());
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#rest?.cancel();
    this.probes.stop();
  }

  /** It registered, or gave another address: what it says of itself is tried once. */
  addressGiven(node: Node): void {
    node.facts.reach = 'unknown';
    // What failed at the address before says nothing of this one.
    if (node.facts.signals.delete('probe')) this.parts.registry.update(node);
    this.probes.welcome(node);
  }

  /**
   * Asks a node whose place another process wants whether it still serves; true, and OFFLINE, if it does
   * not. Where no probe has ever reached it a probe says nothing: its heartbeats decide.
   */
  async isGone(node: Node): Promise<boolean> {
    if (node.facts.reach !== 'reached' && !node.facts.signals.has('heartbeat')) return false;
    const result = await this.probes.ask(node);
    if (result.ok) return false;
    if (this.parts.registry.nodes.get(node.id) === node && isAlive(node))
      this.#offline(node, 'unreachable', 'another process wants its place and it does not answer');
    return true;
  }

  /** A heartbeat arrived. */
  beaten(node: Node, impairments: readonly string[], draining: boolean): void {
    const { facts } = node;
    facts.offline = undefined;
    facts.beaten = true;
    if (facts.signals.delete('heartbeat')) this.probes.withdraw(node);
    if (impairments.length > 0) facts.signals.set('canary', impairments);
    else facts.signals.delete('canary');
    if (draining) facts.drain ??= { by: 'node', deadline: undefined };
    else {
      if (facts.drain?.by === 'node') facts.drain = undefined;
      facts.recalled = false;
    }
    const wasOffline = !isAlive(node);
    this.parts.registry.update(node);
    if (!wasOffline || !facts.signals.has('probe')) return;
    // It came back from the dead: its heartbeats alone do not clear what a probe raised.
    facts.failingSince = undefined;
    this.probes.request(node);
  }

  /** A session that the principal had reserved a slot for has opened there. */
  succeeded(node: Node, principal: string): void {
    this.parts.reports.succeeded(node, principal);
    this.parts.bans.succeeded(node);
  }

  /** The stream of its heartbeats broke: counts as missed heartbeats, and is looked into at once. */
  streamLost(node: Node): void {
    if (isAlive(node)) this.#missed(node, 'the stream of heartbeats was lost');
  }

  /** A client says that the node failed it: evidence for a probe, and no more than that. */
  reported(node: Node, principal: string): void {
    if (!isAlive(node)) return;
    if (this.parts.reports.add(node, principal)) this.parts.bans.ban(node);
    this.probes.request(node);
  }

  forget(node: Node): void {
    this.probes.forget(node);
    this.parts.bans.forget(node);
    this.parts.reports.clear(node);
  }

  sweep(): void {
    const now = this.#clock.monotonic();
    const late = now - this.#lastSweep - this.#sweepMs;
    this.#lastSweep = now;
    const { registry } = this.parts;
    // While this process itself stood still no heartbeat could be read: not the nodes' fault.
    if (late > this.settings.heartbeatPeriodMs)
      for (const node of registry.nodes.values()) if (isAlive(node)) node.lastSeen += late;
    if (this.#rest === undefined) this.#look(registry.nodes.values());
    registry.sweep();
  }

  /** Looks for missing heartbeats: at the next of these nodes now, at the others in a moment. */
  #look(nodes: Iterator<Node, unknown>): void {
    this.#rest = undefined;
    const now = this.#clock.monotonic();
    // One that was told a shorter period when there were fewer is not held to that: while a fleet joins,
    // its heartbeats wait here behind what the others bring.
    const shared = this.parts.periodMs();
    for (let left = AT_ONCE; left > 0; left--) {
      const next = nodes.next();
      if (next.done === true) return;
      if (isAlive(next.value)) this.#judge(next.value, now, shared);
    }
    this.#rest = this.#clock.setTimer(() => this.#look(nodes), PAUSE_MS, { unref: true });
  }

  #judge(node: Node, now: number, sharedPeriodMs: number): void {
    const { suspectAfterPeriods, offlineAfterPeriods } = this.settings;
    const periodMs = Math.max(node.periodMs, sharedPeriodMs);
    const periods = (now - node.lastSeen) / periodMs;
    if (periods >= offlineAfterPeriods)
      this.#offline(node, 'expired', `no heartbeat for ${Math.round(now - node.lastSeen)} ms`);
    else if (periods >= suspectAfterPeriods && !node.facts.signals.has('heartbeat'))
      this.#missed(node, `none for ${suspectAfterPeriods} periods of ${periodMs} ms`);
  }

  #missed(node: Node, why: string): void {
    node.facts.signals.set('heartbeat', [why]);
    this.parts.registry.update(node);
    this.probes.request(node, 'heartbeat');
  }

  #offline(node: Node, cause: 'expired' | 'unreachable', why: string): void {
    this.parts.registry.setOffline(node, cause, why);
    this.probes.forget(node);
  }

  /** True if the node is to be probed again. */
  #probed(node: Node, result: ProbeResult): boolean {
    const { registry, bans, reports } = this.parts;
    this.parts.probed(node, result.ok ? undefined : result.error.message);
    if (registry.nodes.get(node.id) !== node || !isAlive(node)) return false;
    const { signals } = node.facts;
    if (result.ok) {
      node.facts.reach = 'reached';
      node.facts.failingSince = undefined;
      signals.delete('probe');
      registry.update(node);
      return signals.has('heartbeat');
    }
    if (node.facts.reach !== 'reached') return this.#unreached(node, clip(result.error.message));
    const why = kindOfFailure(result.error);
    node.facts.met = clip(result.error.message);
    // Two independent opinions agree.
    if (signals.has('heartbeat')) {
      signals.set('probe', [why]);
      this.#offline(node, 'unreachable', `heartbeats missing and ${why}`);
      return false;
    }
    const outweighed = this.#outweighed(node);
    if (outweighed) signals.delete('probe');
    else {
      // Once: as long as it is suspect it gets nothing anyway.
      if (!signals.has('probe') && reports.has(node)) bans.ban(node);
      signals.set('probe', [why]);
    }
    registry.update(node);
    return !outweighed || reports.has(node);
  }

  /**
   * Whether a failed probe counts for less than what speaks for the node, which sends its heartbeats:
   * sessions of others that open there just now, or that nobody has complained for a whole window. It
   * is tried again then: one report and a way that only this router misses must not end it for good.
   */
  #outweighed(node: Node): boolean {
    const { reports } = this.parts;
    const { suspectAfterPeriods, reportWindowMs } = this.settings;
    if (reports.contradicted(node, suspectAfterPeriods * node.periodMs)) return true;
    const now = this.#clock.monotonic();
    const since = (node.facts.failingSince ??= now);
    if (reports.has(node) || now - since < reportWindowMs) return false;
    node.facts.failingSince = undefined;
    return true;
  }

  /**
   * Clients may well get to a node that this router has no way to: that its probes fail says nothing
   * against heartbeats. Together with a report it keeps the node out for a while, and no longer.
   */
  #unreached(node: Node, why: string): boolean {
    const { bans, reports, unreachable } = this.parts;
    if (node.facts.reach === 'unknown') unreachable(node, why);
    node.facts.reach = 'never';
    if (reports.has(node)) bans.ban(node);
    return node.facts.signals.has('heartbeat');
  }
}
