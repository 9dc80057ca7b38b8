import { abortable, invalid } from '@cabstand/core';
import { fromHeartbeat, toHeartbeat } from './convert';
import type { Clock } from '@cabstand/core';
import type { RouterHandlers, StreamWriter, v1 } from '@cabstand/rpc';
import type { BeatAnswer, BeatStream } from '../registry/beat-stream';
import type { HandlerContext } from './context';

/** Heartbeats of one node up, wishes down, for as long as the stream lasts. */
export function heartbeatHandler(
  context: HandlerContext,
): Required<RouterHandlers>['rpc_heartbeat'] {
  const { core, stopping } = context;
  return async (requests, call, out) => {
    const answers = new Answers(out, context.clock);
    const iterator = requests[Symbol.asyncIterator]();
    let nodeId: string | undefined;
    try {
      for (;;) {
        const next = await abortable(iterator.next(), stopping);
        if (next.done === true) return;
        const beat = fromHeartbeat(next.value);
        nodeId ??= beat.nodeId;
        if (beat.nodeId !== nodeId)
          throw invalid('INVALID_ARGUMENT', 'node_id', beat.nodeId, `one node a stream: ${nodeId}`);
        answers.send(core.heartbeat(beat, call.principal.id, answers));
      }
    } finally {
      if (nodeId !== undefined && !stopping.aborted) core.streamEnded(answers, [nodeId]);
    }
  };
}

/** Sends answers down; while the reader is slow only the newest waits. */
class Answers implements BeatStream {
  #waiting: BeatAnswer | undefined;
  #sending = false;

  constructor(
    private readonly out: StreamWriter<v1.HeartbeatResponse>,
    private readonly clock: Clock,
  ) {}

  send(answer: BeatAnswer): void {
    const { periodMs = this.#waiting?.periodMs } = answer;
    const undrain = answer.undrain || (!answer.drain && this.#waiting?.undrain === true);
    this.#waiting = { ...answer, periodMs, undrain };
    if (!this.#sending) void this.#drain();
  }

  async #drain(): Promise<void> {
    this.#sending = true;
    try {
      while (this.#waiting !== undefined) {
        const answer = this.#waiting;
        this.#waiting = undefined;
        await this.out.write(toHeartbeat(answer, this.clock.now()));
      }
    } catch {
      // The call is over: its handler sees that too.
    } finally {
      this.#sending = false;
    }
  }
}
