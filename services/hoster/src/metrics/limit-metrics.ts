import type { Metrics } from '@cabstand/service';
import type { Sessions } from '@cabstand/sessions';

/** The limits of the session core, as configured, each as a gauge of its own unit. */
export function limitMetrics(metrics: Metrics, { options }: Sessions): void {
  const limit = (what: string, help: string, value: number): void =>
    metrics.limit({ name: `cabstand_${what}_limit`, help: `${help}, as configured.` }, value);
  limit(
    'principal_sessions',
    'Sessions that one principal may have open at once, orphans too',
    options.maxSessionsPerPrincipal,
  );
  limit(
    'live_idle_seconds',
    'Seconds that a live turn whose reader is there may wait for input',
    options.liveIdleTimeoutMs / 1000,
  );
  limit(
    'orphan_min_seconds',
    'Seconds that a session which has its model to itself keeps it without a reader where somebody wants it',
    options.orphanMinMs / 1000,
  );
  limit('session_viewers', 'Calls that may watch one session besides its reader', options.viewers);
  limit(
    'session_viewer_bytes',
    'Bytes of the newest records of a session that are kept for those who watch it',
    options.viewerBytes,
  );
  limit('priority', 'Highest priority of callers without the admin role', options.maxPriority);
  limit(
    'queue_depth',
    'Sessions that may wait for a slot at once, over all models; 0 refuses at once',
    options.queueLength,
  );
  limit(
    'session_journal_records',
    'Records of one session that are kept, or that its engine may run ahead',
    options.journalRecords,
  );
  limit(
    'session_journal_bytes',
    'Bytes of records of one session that are kept, or that its engine may run ahead',
    options.journalBytes,
  );
  limit(
    'session_journal_commands',
    'Commands to the module of one session whose records are kept beyond its journal',
    options.journalCommands,
  );
  limit(
    'session_journal_command_bytes',
    'Bytes of records of commands of one session that are kept beyond its journal',
    options.journalCommandBytes,
  );
  limit(
    'session_live_parts',
    'Parts of live input of one session that may wait for its engine',
    options.liveParts,
  );
  limit(
    'session_live_bytes',
    'Bytes of live input of one session that may wait for its engine',
    options.liveBytes,
  );
  limit(
    'replay_seconds',
    'Computing that a durable session may have to repeat after its engine died, in seconds',
    options.replayMs / 1000,
  );
  limit(
    'snapshot_records',
    'Records of a durable session between two snapshots of its state',
    options.snapshotRecords,
  );
  limit(
    'snapshot_seconds',
    'Seconds between two snapshots of the state of a durable session that streams slowly',
    options.snapshotMs / 1000,
  );
  limit(
    'rebuild_seconds',
    'Seconds that a durable session waits at most for its engine to come back',
    options.rebuildMs / 1000,
  );
  limit(
    'moves_per_second',
    'Sessions that are asked to move in a second while this hoster drains',
    options.movesPerSecond,
  );
}
