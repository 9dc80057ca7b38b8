import { cpus } from 'node:os';
import { z } from 'zod';
import { addressSchema, commonSections } from '@cabstand/service';

const count = z
  .int()
  .min(1)
  .max(2 ** 31 - 1);
const seconds = z.number().positive().max(86_400);
const bytes = z.int().min(1).max(Number.MAX_SAFE_INTEGER);

const limitsSchema = z.strictObject({
  max_sessions: count.default(1024).describe('Sessions open at once, over all models.'),
  max_sessions_per_model: count.default(64).describe('Sessions open at once in one model.'),
  max_sessions_per_principal: count
    .default(256)
    .describe('Sessions of one principal, those without a reader too.'),
  resume_headroom: z
    .number()
    .min(0)
    .max(0.9)
    .default(0.05)
    .describe('Share of a model’s slots kept for sessions that go on from elsewhere.'),
  journal_records: count
    .default(256)
    .describe('Records of a session kept, or computed ahead of its reader, at most.'),
  journal_bytes: bytes.default(4 * 1024 * 1024).describe('The same in bytes.'),
  live_parts: count
    .default(1024)
    .describe('Parts of live input that wait for the engine, for each session.'),
  live_bytes: bytes.default(16 * 1024 * 1024).describe('The same in bytes.'),
  queue_length: z
    .int()
    .min(0)
    .max(100_000)
    .default(0)
    .describe('Sessions that may wait for a slot; 0: a full hoster refuses at once.'),
  queue_wait_seconds: seconds.default(10).describe('Longest wait for a slot.'),
  orphan_timeout_seconds: seconds
    .default(60)
    .describe('A durable session that lost its reader within a turn ends after this.'),
  idle_timeout_seconds: seconds.default(300).describe('A session between turns ends after this.'),
  close_timeout_seconds: seconds
    .default(10)
    .describe('How long the last records of a closed session may take to be read.'),
  ended_remembered: count.default(10_000).describe('Ended sessions whose reason is remembered.'),
  replay_seconds: seconds
    .default(0.25)
    .describe('Within a turn, checkpoints are so close that a replay takes at most this long.'),
  snapshot_records: count
    .default(256)
    .describe('Records between two checkpoints of a turn, at most.'),
  snapshot_seconds: seconds
    .default(0.25)
    .describe('A slow stream gets a checkpoint as often as this, if a replay would take any time.'),
  rebuild_seconds: seconds
    .default(10)
    .describe('How long a durable session waits for its engine to come back.'),
  moves_per_second: count
    .default(25)
    .describe('Durable sessions that are asked to move in a second when the hoster drains.'),
  max_state_bytes: bytes
    .default(1024 * 1024 * 1024)
    .describe('State of all sessions of one model, in bytes.'),
});

const enginesSchema = z.strictObject({
  cores: count
    .default(Math.max(1, cpus().length))
    .describe('Cores that all engines share. Default: those of the machine.'),
  threads: count.default(1).describe('Intra-op threads of each engine.'),
  nice: z.int().min(0).max(19).default(5).describe('Added to the niceness of engines.'),
  spares: z
    .int()
    .min(0)
    .max(16)
    .default(1)
    .describe('Engine processes kept started without a model, so that a restart need not wait.'),
  max_memory_bytes: bytes
    .optional()
    .describe('An engine with more resident memory is killed. Default: what the machine has.'),
  stall_seconds: seconds
    .default(2)
    .describe('An engine that has work and gives no sign for this long is killed.'),
  load_timeout_seconds: seconds
    .default(300)
    .describe('Longest silence while a model is loaded and verified.'),
  restart_seconds: seconds.default(0.2).describe('First delay between restarts.'),
  crashes: count
    .default(5)
    .describe('Deaths within a minute after which a model counts as failed.'),
  socket_folder: z
    .string()
    .min(1)
    .optional()
    .describe('Where the private folder for engine sockets is made. Default: temporary folder.'),
});

/** The hoster's configuration: file, `CABSTAND_*` variables, flags. */
export const hosterConfigSchema = z.strictObject({
  ...commonSections({ listen: '127.0.0.1:50051', admin: '127.0.0.1:8051' }),
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
    .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
    .default('models')
    .describe('Folder of models, or a list of folders.'),
  only: z.array(z.string().min(1)).default([]).describe('Serve these models only. Default: all.'),
  strict: z.boolean().default(false).describe('Do not start with a model that cannot be loaded.'),
  replace_drain_seconds: seconds
    .default(600)
    .describe('How long sessions of a replaced or unloaded version may go on.'),
  limits: limitsSchema.prefault({}),
  engines: enginesSchema.prefault({}),
});

export type HosterConfig = z.output<typeof hosterConfigSchema>;
