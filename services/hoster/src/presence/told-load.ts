import type { v1 } from '@cabstand/rpc';

/** Times and rates that differ by less than this factor are the same: no router places by more than that. */
const SAME = 1.25;
/** Seconds below which times are the same. */
const SHORT_SECONDS = 0.002;

/** The load that a router was told last. What says nothing new need not be sent, nor read there. */
export class ToldLoad {
  #told: v1.Load | undefined;

  /** What is to be told: all of it, or nothing. It counts as told. */
  news(load: v1.Load): v1.Load | undefined {
    if (this.#told !== undefined && isSame(this.#told, load)) return undefined;
    this.#told = load;
    return load;
  }

  /** The router may know nothing of it any more. */
  forget(): void {
    this.#told = undefined;
  }
}

function isSame(a: v1.Load, b: v1.Load): boolean {
  const models = b.models ?? [];
  return (
    a.open_sessions === b.open_sessions &&
    isAbout(a.event_loop_lag_seconds, b.event_loop_lag_seconds, SHORT_SECONDS) &&
    a.models?.length === models.length &&
    a.models.every((model, i) => isSameModel(model, models[i] ?? {}))
  );
}

function isSameModel(a: v1.ModelLoad, b: v1.ModelLoad): boolean {
  return (
    a.model === b.model &&
    a.free_slots === b.free_slots &&
    a.resume_slots === b.resume_slots &&
    a.queue_depth === b.queue_depth &&
    isAbout(a.step_seconds, b.step_seconds, 0) &&
    isAbout(a.records_per_second, b.records_per_second, 0) &&
    isAbout(a.first_chunk_seconds, b.first_chunk_seconds, 0)
  );
}

/** As wide numbers are: a number, or its text. */
type Wire = v1.Load['event_loop_lag_seconds'];

/** @param small what is not larger is the same */
function isAbout(a: Wire, b: Wire, small: number): boolean {
  const [less = 0, more = 0] = [Number(a ?? 0), Number(b ?? 0)].sort((x, y) => x - y);
  return more <= small || (less > 0 && more <= less * SAME);
}
