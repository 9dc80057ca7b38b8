import { closeSync, fstatSync, openSync, statSync } from 'node:fs';
import { CabstandError, systemClock } from '@cabstand/core';
import type { Clock } from '@cabstand/core';
import type { ServerCall, UnaryHandler } from '@cabstand/rpc';
import { shortLine } from './log-line';
import { logOutput } from './log-output';
import type { ServiceContext } from './run';

/** What somebody did, by the names that the audit log has for it. */
export type AuditEvent =
  | 'session_opened'
  | 'session_resumed'
  | 'session_taken_over'
  | 'session_attached'
  | 'session_viewed'
  | 'session_shared'
  | 'session_ended'
  | 'node_drained'
  | 'node_undrained'
  | 'node_reported'
  | 'node_banned'
  | 'model_loaded'
  | 'model_unloaded';

/** Names and numbers. Never what callers send to models, nor what those answer. */
export type AuditFacts = Readonly<Record<string, string | number | undefined>>;

/** Where it is written who did what. */
export interface AuditLog {
  record(event: AuditEvent, facts: AuditFacts): void;
}

export interface AuditConfig {
  readonly file?: string | undefined;
}

/** Where nobody wants to know. */
export const NO_AUDIT: AuditLog = { record: () => undefined };

/** How often at most it is looked whether the file was renamed, milliseconds. */
const LOOK_EVERY_MS = 1000;
/** Names of people and sessions are in it. */
const MODE = 0o600;

/**
 * The audit log of a service: a JSON object a line at the end of `audit.file`, opened again when that was renamed, so
 * that it can be rotated. Nothing where no file is configured. Throws CONFIG_INVALID for a file that cannot be opened.
 */
export function openAuditLog(
  { closers, logger }: Pick<ServiceContext<unknown>, 'closers' | 'logger'>,
  { file }: AuditConfig,
  service: string,
  clock: Clock = systemClock,
): AuditLog {
  if (file === undefined) return NO_AUDIT;
  let fd = open(file);
  let output = logOutput({ fd });
  let lookedAt = clock.monotonic();
  let told = false;
  const renew = (): void => {
    if (clock.monotonic() - lookedAt < LOOK_EVERY_MS) return;
    lookedAt = clock.monotonic();
    if (isOpen(file, fd)) return;
    try {
      const next = open(file);
      closeSync(fd);
      fd = next;
      output = logOutput({ fd });
      told = false;
    } catch (error) {
      // The file of before takes them meanwhile, wherever it was moved to.
      if (!told) logger.error({ err: error }, 'the audit log cannot be opened again');
      told = true;
    }
  };
  closers.add('audit log', 100, () => {
    closeSync(fd);
    return Promise.resolve();
  });
  return {
    record(event, facts) {
      renew();
      const time = new Date(clock.now()).toISOString();
      const record = { level: 'info', time, name: service, stream: 'audit', ...facts, msg: event };
      output.write(shortLine(`${JSON.stringify(record)}\n`));
    },
  };
}

/** Who makes a call, from where. */
export function callerOf({ principal, peer }: Pick<ServerCall, 'principal' | 'peer'>): AuditFacts {
  return { principal: principal.id, via: principal.via, peer };
}

/** A handler each of whose calls is in the audit log with its outcome: `done`, or the reason of its refusal. */
export function audited<Req, Res>(
  audit: AuditLog,
  handler: UnaryHandler<Req, Res>,
  tell: (request: Req) => { readonly event: AuditEvent; readonly facts: AuditFacts },
): UnaryHandler<Req, Res> {
  return async (request, call) => {
    const { event, facts } = tell(request);
    const record = (outcome: string): void =>
      audit.record(event, { ...callerOf(call), ...facts, outcome });
    try {
      const answer = await handler(request, call);
      record('done');
      return answer;
    } catch (error) {
      record(CabstandError.from(error).reason);
      throw error;
    }
  };
}

function open(file: string): number {
  try {
    return openSync(file, 'a', MODE);
  } catch (error) {
    throw new CabstandError(
      'CONFIG_INVALID',
      `audit.file: ${file} cannot be opened for appending: ${(error as Error).message}`,
      { metadata: { key: 'audit.file' }, cause: error },
    );
  }
}

function isOpen(file: string, fd: number): boolean {
  try {
    return statSync(file).ino === fstatSync(fd).ino;
  } catch {
    return false;
  }
}
