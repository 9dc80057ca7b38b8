import { z } from 'zod';
import { addressSchema, auditSection, commonSections, inferenceSection } from '@cabstand/service';
import { ENGINE_LIMITS } from './engines/options';
import { MOST_BYTES, MOST_MS } from '@cabstand/core';
import type { Limit } from '@cabstand/core';
import { STANDARD_DRAIN_MS } from './models/options';
import { SESSION_LIMITS } from '@cabstand/sessions';

/** A limit as a plain number. */
function number([standard, least, most, share]: Limit) {
  return (share === undefined ? z.int() : z.number()).min(least).max(most).default(standard);
}

/** A limit that options have in milliseconds, configured in seconds. */
function seconds([standard, , most]: Limit) {
  return z
    .number()
    .positive()
    .max(most / 1000)
    .default(standard / 1000);
}

const path = z.string().min(1).meta({ takes: 'path' });

/** A limit that another one is reached before. Defaults give way instead. */
const BOUNDED = [
  ['max_sessions_per_principal', SESSION_LIMITS.maxSessionsPerPrincipal[0]],
  ['max_sessions_per_model', ENGINE_LIMITS.sessionsPerModel[0]],
] as const;

const limitsSchema = z
  .strictObject({
    max_sessions: number(SESSION_LIMITS.maxSessions).describe(
      'Sessions open at once, idle ones too, over all models.',
    ),
    max_sessions_per_model: number(ENGINE_LIMITS.sessionsPerModel).describe(
      'Sessions of one model that compute at once: all but those that are idle.',
    ),
    max_sessions_per_principal: number(SESSION_LIMITS.maxSessionsPerPrincipal).describe(
      'Sessions of one principal, idle ones and those without a reader too; by default as many as there may be.',
    ),
    max_held_bytes: z
      .int()
      .min(1)
      .max(MOST_BYTES)
      .optional()
      .describe(
        'Bytes that all sessions may hold in the main process; above it the longest idle go back to their checkpoints. Default: 40 % of what the machine or container has.',
      ),
    resume_headroom: number(SESSION_LIMITS.resumeHeadroom).describe(
      'Share of a model’s slots, rounded down, that only sessions which go on from elsewhere may take.',
    ),
    journal_records: number(SESSION_LIMITS.journalRecords).describe(
      'Records of a session kept, or computed ahead of its reader, at most.',
    ),
    journal_bytes: number(SESSION_LIMITS.journalBytes).describe('The same in bytes.'),
    journal_commands: number(SESSION_LIMITS.journalCommands).describe(
      'Commands to a module whose records are kept beyond that, so that it hears of them though its reader is behind.',
    ),
    journal_command_bytes: number(SESSION_LIMITS.journalCommandBytes).describe(
      'The same in bytes of their records.',
    ),
    live_parts: number(SESSION_LIMITS.liveParts).describe(
      'Parts of live input that wait for the engine, for each session.',
    ),
    live_bytes: number(SESSION_LIMITS.liveBytes).describe('The same in bytes.'),
    queue_length: number(SESSION_LIMITS.queueLength).describe(
      'Sessions that may wait for a slot; 0: a full hoster refuses at once.',
    ),
    queue_wait_seconds: seconds(SESSION_LIMITS.queueWaitMs).describe('Longest wait for a slot.'),
    orphan_timeout_seconds: seconds(SESSION_LIMITS.orphanTimeoutMs).describe(
      'A durable session that lost its reader within a turn ends after this.',
    ),
    orphan_min_seconds: seconds(SESSION_LIMITS.orphanMinMs).describe(
      'A session that has its model to itself keeps it for so long without a reader where somebody else wants it.',
    ),
    idle_timeout_seconds: seconds(SESSION_LIMITS.idleTimeoutMs).describe(
      'A session between turns ends after this.',
    ),
    live_idle_timeout_seconds: seconds(SESSION_LIMITS.liveIdleTimeoutMs).describe(
      'A live turn that waits for input while its reader is there ends after this.',
    ),
    viewers: number(SESSION_LIMITS.viewers).describe(
      'Calls that watch one session besides its reader, at most.',
    ),
    viewer_bytes: number(SESSION_LIMITS.viewerBytes).describe(
      'Newest records of a session kept for those who watch it, in bytes.',
    ),
    max_priority: number(SESSION_LIMITS.maxPriority).describe(
      'Highest priority of callers without the admin role; a higher one is lowered to it.',
    ),
    close_timeout_seconds: seconds(SESSION_LIMITS.closeTimeoutMs).describe(
      'How long the last records of a closed session may take to be read.',
    ),
    ended_remembered: number(SESSION_LIMITS.endedRemembered).describe(
      'Ended sessions whose reason is remembered.',
    ),
    replay_seconds: seconds(SESSION_LIMITS.replayMs).describe(
      'Within a turn, checkpoints are so close that a replay takes at most this long.',
    ),
    snapshot_records: number(SESSION_LIMITS.snapshotRecords).describe(
      'Records between two checkpoints of a turn, at most.',
    ),
    snapshot_seconds: seconds(SESSION_LIMITS.snapshotMs).describe(
      'A slow stream gets a checkpoint as often as this, if a replay would take any time.',
    ),
    rebuild_seconds: seconds(SESSION_LIMITS.rebuildMs).describe(
      'How long a durable session waits for its engine to come back.',
    ),
    moves_per_second: number(SESSION_LIMITS.movesPerSecond).describe(
      'Durable sessions that are asked to move in a second when the hoster drains.',
    ),
    max_state_bytes: number(ENGINE_LIMITS.maxStateBytes).describe(
      'State of all sessions of one model, in bytes.',
    ),
  })
  .superRefine((limits, context) => {
    for (const [name, standard] of BOUNDED)
      if (limits[name] !== standard && limits[name] > limits.max_sessions)
        context.addIssue({
          code: 'custom',
          path: [name],
          message: `expected at most limits.max_sessions (${limits.max_sessions}), got ${limits[name]}: it could never be reached`,
        });
  });

const enginesSchema = z.strictObject({
  cores: number(ENGINE_LIMITS.cores).describe(
    'Cores that all engines share. Default: those of the machine.',
  ),
  threads: number(ENGINE_LIMITS.threads).describe('Intra-op threads of each engine.'),
  runtime: z
    .enum(['auto', 'io-binding', 'binding'])
    .default('auto')
    .describe(
      'How ONNX Runtime is called: by its C API where that works (auto), by its I/O binding on the CPU as well, to try what a GPU is served with (io-binding), or always by its binding for Node (binding).',
    ),
  nice: number(ENGINE_LIMITS.nice).describe('Added to the niceness of engines.'),
  spares: number(ENGINE_LIMITS.spares).describe(
    'Engine processes kept started without a model, so that a restart need not wait.',
  ),
  max_memory_bytes: z
    .int()
    .min(1)
    .max(Number.MAX_SAFE_INTEGER)
    .optional()
    .describe(
      'An engine with more resident memory is killed. Default: 80 % of what the machine or container has.',
    ),
  stall_seconds: seconds(ENGINE_LIMITS.stallMs).describe(
    'An engine that has work and gives no sign for this long is killed.',
  ),
  load_timeout_seconds: seconds(ENGINE_LIMITS.loadTimeoutMs).describe(
    'Longest silence while a model is loaded and verified.',
  ),
  restart_seconds: seconds(ENGINE_LIMITS.restartMs).describe('First delay between restarts.'),
  crashes: number(ENGINE_LIMITS.crashes).describe(
    'Deaths within a minute after which a model counts as failed.',
  ),
  audit_share: number(ENGINE_LIMITS.auditShare).describe(
    'Share of its busy time that an engine may use to run rows that ran among others again alone; 0: none.',
  ),
  verification_cache: z
    .string()
    .meta({ takes: 'path' })
    .optional()
    .describe(
      'Folder in which results of verification are kept; empty: they are not. Default: cabstand/verified under XDG_CACHE_HOME or ~/.cache.',
    ),
  sandbox: z
    .enum(['auto', 'off'])
    .default('auto')
    .describe(
      'Confine engines by what the system has for it: no core dumps, no new privileges, few capabilities.',
    ),
  environment: z
    .array(z.string().min(1))
    .default([])
    .describe('Variables that engines get beside those that computing needs, by name.'),
  socket_folder: path
    .optional()
    .describe('Where the private folder for engine sockets is made. Default: temporary folder.'),
});

/** The hoster's configuration: file, `CABSTAND_*` variables, flags. */
export const hosterConfigSchema = z.strictObject({
  ...commonSections({ listen: '127.0.0.1:50051', admin: '127.0.0.1:8051' }),
  audit: auditSection,
  advertise: addressSchema
    .optional()
    .describe('host:port that clients dial. Default: the address that is listened on.'),
  node_id: z
    .string()
    .regex(
      /^[A-Za-z0-9[][A-Za-z0-9._:[\]-]{0,127}$/,
      'expected 1 to 128 of A-Z a-z 0-9 . _ : [ ] -',
    )
    .optional()
    .describe('Name of this node in the subnet. Default: the advertised address.'),
  routers: z
    .array(addressSchema)
    .max(64)
    .default([])
    .describe('Routers to register with. None: a hoster on its own.'),
  models: z
    .array(path)
    .min(1)
    .default(['models'])
    .describe('Folders of models. The default is relative to the working directory.'),
  only: z.array(z.string().min(1)).default([]).describe('Serve these models only. Default: all.'),
  strict: z.boolean().default(false).describe('Do not start with a model that cannot be loaded.'),
  start_wait_seconds: z
    .number()
    .min(0)
    .max(MOST_MS / 1000)
    .default(30)
    .describe(
      'How long, once a model serves, the start waits for others that still load. They are announced later; with strict it waits for all.',
    ),
  replace_drain_seconds: seconds([STANDARD_DRAIN_MS, 0, MOST_MS]).describe(
    'How long sessions of a replaced or unloaded version may go on.',
  ),
  limits: limitsSchema.prefault({}).describe('how many sessions, and how much is kept of each'),
  engines: enginesSchema.prefault({}).describe('the processes that run models'),
  inference: inferenceSection,
});

export type HosterConfig = z.output<typeof hosterConfigSchema>;
