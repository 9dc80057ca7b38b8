import { toDuration } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import type { ServedModel, Sessions } from '@cabstand/sessions';
import type { Pace } from './pace';
import type { ModelHost } from '../models/model-host';
import { modelOffer, wireModelState } from '@cabstand/hosting';

/** What a heartbeat tells about this hoster. */
export interface PresenceSource {
  readonly host: Pick<ModelHost, 'models' | 'broken' | 'onChange'>;
  readonly sessions: Pick<
    Sessions,
    'all' | 'size' | 'freeSlots' | 'lentSlots' | 'resumeSlots' | 'queueLengthOf' | 'openness'
  >;
  /** 99th percentile of event-loop lag since the same reader asked last. */
  readonly lagSeconds: (reader: string) => number;
  /** Of a model since the same reader asked last. */
  readonly pace: (reader: string, model: string) => Pace;
}

/** Models that take sessions now. */
export function offers(source: PresenceSource): v1.ModelOffer[] {
  return ready(source).map(modelOffer);
}

/** Versions that take no new sessions: loading, failed, or serving the sessions that they have. */
export function otherModels({ host }: PresenceSource): v1.ModelCondition[] {
  const others = host.models().filter(({ status }) => status.state !== 'ready');
  return [
    ...others.map(({ name, version, status }) => ({
      name,
      version,
      state: wireModelState(status),
    })),
    ...host.broken().map(({ name }) => ({ name, state: 'MODEL_STATE_FAILED' as const })),
  ];
}

export function load(source: PresenceSource, reader: string): v1.Load {
  const { sessions } = source;
  return {
    models: ready(source).map((model) => {
      const lent = sessions.lentSlots(model);
      const { recordsPerSecond, firstChunkSeconds } = source.pace(reader, model.name);
      return {
        model: model.name,
        // Or else nobody would be sent here who has a right to a slot.
        free_slots: sessions.freeSlots(model) + lent,
        resume_slots: sessions.resumeSlots(model),
        // What is lent is no better than a place in a queue: hosters with free slots go first.
        queue_depth: sessions.queueLengthOf(model.name) + lent,
        step_seconds: model.stepSeconds,
        records_per_second: recordsPerSecond,
        first_chunk_seconds: firstChunkSeconds,
      };
    }),
    open_sessions: sessions.size,
    event_loop_lag_seconds: source.lagSeconds(reader),
  };
}

/** google.protobuf.Timestamp of a clock's milliseconds. */
export function timestamp(ms: number): { seconds: number; nanos: number } {
  return toDuration(ms);
}

function ready(source: PresenceSource): ServedModel[] {
  return source.host.models().filter(({ status }) => status.state === 'ready');
}
