/** A share of a core for some processes: a control group of Linux with a quota, v1 or v2. */
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const V1 = '/sys/fs/cgroup/cpu';
const V2 = '/sys/fs/cgroup';
/** Microseconds for which a quota counts: the shortest that are usual, so that processes stand still for short. */
const PERIOD_US = 10_000;

export class CpuQuota implements Disposable {
  readonly #folder: string;

  /** @param cores how much of one core all its processes get together */
  constructor(name: string, cores: number) {
    const v1 = existsSync(path.join(V1, 'cpu.cfs_quota_us'));
    this.#folder = path.join(v1 ? V1 : V2, `cabstand-${String(process.pid)}-${name}`);
    const quota = String(Math.round(cores * PERIOD_US));
    try {
      mkdirSync(this.#folder);
      if (v1) {
        this.#write('cpu.cfs_period_us', String(PERIOD_US));
        this.#write('cpu.cfs_quota_us', quota);
      } else this.#write('cpu.max', `${quota} ${String(PERIOD_US)}`);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new Error(`a control group with a quota cannot be made here (it takes root): ${why}`, {
        cause,
      });
    }
  }

  /** All threads of a process; what it starts later belongs to the group, too. */
  add(pid: number): void {
    this.#write('cgroup.procs', String(pid));
  }

  /** Once its processes have ended. */
  [Symbol.dispose](): void {
    rmdirSync(this.#folder);
  }

  #write(file: string, text: string): void {
    writeFileSync(path.join(this.#folder, file), text);
  }
}
