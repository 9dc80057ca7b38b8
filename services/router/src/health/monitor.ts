import { every } from '@cabstand/core';
import { isAlive } from '../registry/node';
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
  readonly probed: (node: Node, failure: string | undefined) => void;
}

/** Turns missing heartbeats, probes, the node's own opinion and reports into facts about nodes. */
export class Monitor {
  readonly probes: Probes;
  readonly #clock: Clock;
  readonly #sweepMs: number;
  #timer: Timer | undefined;
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
    this.probes.stop();
  }

  /** A heartbeat arrived. */
  beaten(node: Node, impairments: readonly string[], draining: boolean): void {
    const { facts } = node;
    facts.offline = undefined;
    facts.beaten = true;
    facts.signals.delete('heartbeat');
    if (impairments.length > 0) facts.signals.set('canary', impairments);
    else facts.signals.delete('canary');
    if (draining) facts.drain ??= { by: 'node', deadline: undefined };
    else {
      if (facts.drain?.by === 'node') facts.drain = undefined;
      facts.recalled = false;
    }
    const wasOffline = !isAlive(node);
    this.parts.registry.update(node);
    // It came back from the dead; only a probe clears what a probe raised.
    if (wasOffline && facts.signals.has('probe')) this.probes.request(node);
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
    const pardon = late > this.settings.heartbeatPeriodMs ? late : 0;
    const { suspectAfterPeriods, offlineAfterPeriods } = this.settings;
    for (const node of registry.nodes.values()) {
      if (!isAlive(node)) continue;
      node.lastSeen += pardon;
      const periods = (now - node.lastSeen) / node.periodMs;
      if (periods >= offlineAfterPeriods)
        this.#offline(node, 'expired', `no heartbeat for ${Math.round(now - node.lastSeen)} ms`);
      else if (periods >= suspectAfterPeriods && !node.facts.signals.has('heartbeat'))
        this.#missed(node, `none for ${suspectAfterPeriods} periods of ${node.periodMs} ms`);
    }
    registry.sweep();
  }

  #missed(node: Node, why: string): void {
    node.facts.signals.set('heartbeat', [why]);
    this.parts.registry.update(node);
    this.probes.request(node);
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
      signals.delete('probe');
      registry.update(node);
      return signals.has('heartbeat');
    }
    const why = result.error.message.slice(0, 200);
    // Two independent opinions agree.
    if (signals.has('heartbeat')) {
      signals.set('probe', [why]);
      this.#offline(node, 'unreachable', `heartbeats missing and ${why}`);
      return false;
    }
    signals.set('probe', [why]);
    if (reports.has(node)) bans.ban(node);
    registry.update(node);
    return true;
  }
}
