/** Sessions as verification uses them: their results are seen, and refused runs are counted, not logged. */
import type { InferenceSession } from 'onnxruntime-node';
import { QUIET } from '../graphs/session';

export class WatchedSessions {
  readonly sessions: readonly InferenceSession[];
  /** Called after each run that succeeded. @param graph its number in the model */
  onRun: ((graph: number, results: InferenceSession.ReturnType) => void) | undefined;
  /** Runs that were refused. */
  refused = 0;
  /** What the last of them said. */
  refusal = '';

  constructor(sessions: readonly InferenceSession[]) {
    this.sessions = sessions.map((session, graph) => this.#watch(session, graph));
  }

  #watch(session: InferenceSession, graph: number): InferenceSession {
    const run = async (
      feeds: InferenceSession.FeedsType,
      fetches: InferenceSession.FetchesType,
    ): Promise<InferenceSession.ReturnType> => {
      try {
        const results = await session.run(feeds, fetches, QUIET);
        this.onRun?.(graph, results);
        return results;
      } catch (error) {
        this.refused += 1;
        this.refusal = error instanceof Error ? error.message : String(error);
        throw error;
      }
    };
    return new Proxy(session, {
      get: (target, key): unknown => {
        if (key === 'run') return run;
        const value: unknown = Reflect.get(target, key, target);
        return value;
      },
    });
  }
}
