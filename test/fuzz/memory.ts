import { readdirSync } from 'node:fs';
import { scrape, total } from '@cabstand/testing';
import type { Service, Subnet } from '@cabstand/testing';
import { residentBytes } from '../support/processes';

const MIB = 1024 * 1024;
const PER_CALLS = 100_000;

/** What a service holds after a full collection, in MiB. */
interface Sample {
  /** That this service has handled. */
  readonly calls: number;
  readonly heap: number;
  /** Outside V8's heap: buffers. */
  readonly external: number;
  readonly resident: number;
}

type Kind = Exclude<keyof Sample, 'calls'>;
const KINDS: readonly Kind[] = ['heap', 'external', 'resident'];

/** Least squares through points. NaN for fewer than two. */
export function slope(points: readonly (readonly [number, number])[]): number {
  const mean = (of: (point: readonly [number, number]) => number): number =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const x = mean((point) => point[0]);
  const y = mean((point) => point[1]);
  const across = points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0);
  return across / points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0);
}

/** Memory of each service over the calls it took. Services must have `collect-on-signal.cjs` loaded. */
export class MemorySeries {
  readonly #series = new Map<string, Sample[]>();
  readonly #services: readonly Service[];

  constructor(subnet: Subnet) {
    this.#services = [...subnet.routers, ...subnet.hosters];
  }

  async sample(): Promise<void> {
    for (const { child, admin } of this.#services) {
      process.kill(child.pid, 'SIGUSR2');
      // When it has answered once, it has collected: both are turns of its event loop.
      await scrape(admin);
      const page = await scrape(admin);
      const samples = this.#series.get(child.name) ?? [];
      this.#series.set(child.name, samples);
      samples.push({
        calls: total(page, 'grpc_server_handled_total'),
        heap: total(page, 'nodejs_heap_size_used_bytes') / MIB,
        external: total(page, 'nodejs_external_memory_bytes') / MIB,
        resident: residentBytes(child.pid) / MIB,
      });
    }
  }

  /** MiB for each 100,000 calls that the service handled, over the second half. */
  slopeOf(service: string, kind: Kind): number {
    const samples = this.#series.get(service) ?? [];
    const half = samples.slice(Math.floor(samples.length / 2));
    return slope(half.map((sample) => [sample.calls, sample[kind]] as const)) * PER_CALLS;
  }

  print(): string {
    const lines: string[] = [];
    for (const [service, samples] of this.#series) {
      lines.push(
        `${service} calls: ${thinned(samples)
          .map(({ calls }) => calls)
          .join(' ')}`,
      );
      for (const kind of KINDS) {
        const values = thinned(samples).map((sample) => sample[kind].toFixed(1));
        const slope = this.slopeOf(service, kind).toFixed(2);
        lines.push(`${service} ${kind} MiB: ${values.join(' ')}; slope ${slope} per 100,000 calls`);
      }
    }
    return lines.join('\n');
  }
}

const SHOWN = 16;

/** So many that they fit into a line, the first and the last among them. */
function thinned<T>(values: readonly T[]): readonly T[] {
  const step = Math.max(1, Math.ceil(values.length / SHOWN));
  return values.filter((_, i) => (values.length - 1 - i) % step === 0 || i === 0);
}

/** Files, sockets and pipes that a process has open. */
export function descriptorsOf(pid: number): number {
  return readdirSync(`/proc/${String(pid)}/fd`).length;
}
