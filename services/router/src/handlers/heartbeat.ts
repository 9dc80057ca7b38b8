import { abortableBy, invalid } from '@cabstand/core';
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
  const untilStopping = abortableBy(stopping);
  return (requests, call, out) => {
    const answers = new Answers(out, context.clock);
    const listen = async (): Promise<void> => {
      let nodeId: string | undefined;
      try {
        for await (const request of requests) {
          const beat = fromHeartbeat(request);
          nodeId ??= beat.nodeId;
          if (beat.nodeId !== nodeId)
            throw invalid(
              'INVALID_ARGUMENT',
              'node_id',
              beat.nodeId,
              `one node a stream: ${nodeId}`,
            );
          answers.send(core.heartbeat(beat, call.principal.id, answers));
        }
      } finally {
        if (nodeId !== undefined && !stopping.aborted) core.streamEnded(answers, [nodeId]);
      }
    };
    // Once for a stream, not for each heartbeat: to let go of a signal costs what all who wait for it are.
    return untilStopping(listen());
  };
}

/** Sends down answers that say anything new; while the reader is slow only the newest waits. */
class Answers implements BeatStream {
  #waiting: BeatAnswer | undefined;
  #sending = false;
  /** The state that was told last. */
  #told: BeatAnswer['state'];

  constructor(
    private readonly out: StreamWriter<v1.HeartbeatResponse>,
    private readonly clock: Clock,
  ) {}

  send(answer: BeatAnswer): void {
    if (!this.#isNews(answer)) return;
    this.#told = answer.state;
    const { periodMs = this.#waiting?.periodMs } = answer;
    const undrain = answer.undrain || (!answer.drain && this.#waiting?.undrain === true);
    this.#waiting = { ...answer, periodMs, undrain };
    if (!this.#sending) void this.#drain();
  }

  /** Wishes are told until a heartbeat says that they are met. */
  #isNews({ reregister, drain, undrain, periodMs, state }: BeatAnswer): boolean {
    if (reregister || drain || undrain || periodMs !== undefined || this.#told === undefined)
      return true;
    return (
      state?.kind !== this.#told.kind || state.reasons.join('\n') !== this.#told.reasons.join('\n')
    );
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
