/** Sessions as verification uses them: their results are seen, and refused runs are counted, not logged. */
import type { Fetches, GraphSession, Tensors } from '../graphs/graph-session';

export class WatchedSessions {
  readonly sessions: readonly GraphSession[];
  /** Called after each run that succeeded. @param graph its number in the model */
  onRun: ((graph: number, results: Tensors) => void) | undefined;
  /** Runs that were refused. */
  refused = 0;
  /** What the last of them said. */
  refusal = '';

  constructor(sessions: readonly GraphSession[]) {
    this.sessions = sessions.map((session, graph) => this.#watch(session, graph));
  }

  #watch(session: GraphSession, graph: number): GraphSession {
    const run = async (feeds: Tensors, fetches: Fetches): Promise<Tensors> => {
      try {
        const results = await session.run(feeds, fetches);
        this.onRun?.(graph, results);
        return results;
      } catch (error) {
        this.refused += 1;
        this.refusal = error instanceof Error ? error.message : String(error);
        throw error;
      }
    };
    const { calledBy, memory, inputMetadata, outputMetadata } = session;
    return {
      ...{ calledBy, ...(memory && { memory }), inputMetadata, outputMetadata, run },
      release: () => session.release(),
    };
  }
}
