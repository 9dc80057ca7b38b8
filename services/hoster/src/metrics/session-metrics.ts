import { REASONS } from '@cabstand/core';
import { namesOf } from '@cabstand/service';
import type { Metrics, Subjects } from '@cabstand/service';
import type { CommandOutcome, EndReason, Observe } from '@cabstand/sessions';
import { LATENCY, LIFETIMES, WAITS } from './buckets';

const END_REASONS = namesOf<EndReason>({
  completed: true,
  stopped: true,
  cancelled: true,
  timed_out: true,
  evicted: true,
  migrated: true,
  lost: true,
  error: true,
});

/** What a turn ends with; the others end sessions. */
const TURN_ENDS = ['completed', 'stopped', 'cancelled', 'timed_out', 'evicted', 'error'];

const COMMAND_OUTCOMES = namesOf<CommandOutcome>({
  done: true,
  rejected: true,
  invalid: true,
  unknown: true,
  failed: true,
});

/** Why a session went on: it came from another hoster, its engine died, or its engine hung. */
type ResumeCause = 'elsewhere' | 'crashed' | 'stalled';

const RESUME_CAUSES = namesOf<ResumeCause>({ elsewhere: true, crashed: true, stalled: true });

/** What the hoster counts of its sessions. Labels are models and reasons only, never callers or ids. */
export function sessionMetrics(metrics: Metrics, models: Subjects): Observe {
  const opened = models.counter({
    name: 'cabstand_sessions_opened_total',
    help: 'Sessions that were opened on this hoster, by model; goes up when a session gets its slot.',
  });
  const ended = models.counter({
    name: 'cabstand_sessions_ended_total',
    help: 'Sessions that ended on this hoster, by model and reason; "lost" means that this hoster could not go on with it.',
    labels: { reason: END_REASONS },
  });
  const lifetime = models.histogram(
    {
      name: 'cabstand_session_seconds',
      help: 'How long sessions were open on this hoster, in seconds, by model; observed when one ends.',
    },
    LIFETIMES,
  );
  // Callers choose the model they ask for: only the reason is bounded.
  const refused = metrics.counter({
    name: 'cabstand_sessions_refused_total',
    help: 'Sessions that were asked for and not opened, by reason; HOSTER_FULL and QUOTA_EXCEEDED mean lack of room.',
    labels: { reason: Object.keys(REASONS) },
  });
  const waits = models.histogram(
    {
      name: 'cabstand_queue_wait_seconds',
      help: 'How long sessions waited for a free slot of their model, in seconds; 0 where one was free, and counted too where a session gave up.',
    },
    WAITS,
  );
  const turns = models.counter({
    name: 'cabstand_turns_total',
    help: 'Turns (one input and all that comes of it) that ended, by model and reason.',
    labels: { reason: TURN_ENDS },
  });
  const records = models.counter({
    name: 'cabstand_records_total',
    help: 'Records that sessions produced for their callers, by model: chunks, parts taken and ends of turns.',
  });
  const first = models.histogram(
    {
      name: 'cabstand_first_chunk_seconds',
      help: 'From the start of a turn on this hoster to its first chunk of output, in seconds, by model.',
    },
    LATENCY,
  );
  const between = models.histogram(
    {
      name: 'cabstand_inter_chunk_seconds',
      help: 'From one chunk of a turn to the next, in seconds, by model; only while the reader kept up, but with waits for live input.',
    },
    LATENCY,
  );
  const resumes = models.counter({
    name: 'cabstand_resumes_total',
    help: 'Times that a session went on after a break, by model and cause: it came from elsewhere, or its engine crashed or stalled.',
    labels: { cause: RESUME_CAUSES },
  });
  const rebuilds = models.histogram(
    {
      name: 'cabstand_rebuild_seconds',
      help: 'From the loss of an engine until a session went on in the next one, in seconds, by model.',
    },
    LATENCY,
  );
  const checkpoints = models.counter({
    name: 'cabstand_checkpoints_total',
    help: 'Checkpoints (sealed states to go on from elsewhere) that were given to callers, by model.',
  });
  const checkpointBytes = models.counter({
    name: 'cabstand_checkpoint_bytes_total',
    help: 'Bytes of the checkpoints that were given to callers, by model.',
  });
  const poisoned = models.counter({
    name: 'cabstand_turns_poisoned_total',
    help: 'Turns that were ended since they had killed two engines at the same position, by model.',
  });
  const commands = models.counter({
    name: 'cabstand_commands_total',
    help: 'Commands that sessions of modules carried out, by model and outcome; "rejected" is what the author refused, "failed" what his code threw.',
    labels: { outcome: COMMAND_OUTCOMES },
  });
  const messages = models.counter({
    name: 'cabstand_messages_total',
    help: 'Messages that sessions of modules sent to their callers beside their frames, by model.',
  });
  return (event) => {
    if (event.kind === 'refused') {
      refused.inc({ reason: event.error.reason });
      return;
    }
    if (event.kind === 'waited') {
      waits.observe(event.model, event.seconds, event.trace);
      return;
    }
    const { trace } = event.session;
    const { name } = event.session.model;
    switch (event.kind) {
      case 'resumed':
        resumes.inc(name, { cause: 'elsewhere' });
        return;
      case 'rebuilt': {
        const cause: ResumeCause = event.cause === 'ENGINE_STALLED' ? 'stalled' : 'crashed';
        resumes.inc(name, { cause });
        rebuilds.observe(name, event.seconds, trace);
        return;
      }
      case 'checkpoint':
        checkpoints.inc(name);
        checkpointBytes.inc(name, {}, event.bytes);
        return;
      case 'poisoned':
        poisoned.inc(name);
        return;
      case 'opened':
        opened.inc(name);
        return;
      case 'ended':
        ended.inc(name, { reason: event.end.reason });
        lifetime.observe(name, event.seconds);
        return;
      case 'turn_ended':
        turns.inc(name, { reason: event.reason });
        return;
      case 'command':
        commands.inc(name, { outcome: event.outcome });
        return;
      case 'message':
        messages.inc(name);
        return;
      case 'record':
        records.inc(name);
        return;
      case 'first_chunk':
        first.observe(name, event.seconds, trace);
        return;
      case 'between_chunks':
        between.observe(name, event.seconds, trace);
        return;
      case 'turn_started':
      case 'epoch_raised':
      case 'rested':
      case 'stirred':
    }
  };
}
