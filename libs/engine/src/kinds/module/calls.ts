/**
 * The author's calls that have a number. What one of them makes comes before the commands that are handed out
 * in it; where it is given input, commands come first. So the order of a call's records says all that a second
 * run needs.
 */
import { invalid } from '@cabstand/core';
import { RecordField } from '../../frames/module-frames';
import { LATEST, TRY_EMIT, inputBody, namedBody } from './bodies';
import { writeChunk } from './emit';
import type { Outputs } from './emit';
import { jsonOf } from './limits';
import type { Part } from './messages';
import { notDeterministic } from './replay';
import type { Scope } from './scope';
import type { ModuleSession } from './session';

export interface EmitOptions {
  readonly text?: string;
  /** Who only watches may begin here. Default false. */
  readonly key?: boolean;
}

const THREW = '$threw';

export async function emit(
  session: ModuleSession,
  scope: Scope,
  outputs: Outputs,
  options: EmitOptions,
): Promise<void> {
  putChunk(session, outputs, options);
  await goOn(session, scope);
}

/** False where the reader is behind: nothing was written then. */
export async function tryEmit(
  session: ModuleSession,
  scope: Scope,
  outputs: Outputs,
  options: EmitOptions,
): Promise<boolean> {
  const replays = session.host.data.survival === 'replay';
  // A handler may ask again in the same call of the loop: which of its calls it was that made the record is kept.
  const mark = scope.nested ? String(scope.calls) : 'true';
  const may = session.records.replaying
    ? session.again((log, point) => log.mark(point, TRY_EMIT, mark))
    : session.mayEmit;
  if (may) {
    // That it was refused needs no record: a second run finds none of this call.
    if (replays) putMark(session, TRY_EMIT, mark);
    putChunk(session, outputs, options);
    session.host.flush();
  }
  await session.breathe();
  await session.handOut(scope);
  return may;
}

export async function send(
  session: ModuleSession,
  scope: Scope,
  name: string,
  message: unknown,
): Promise<void> {
  const { data, messages } = session.host;
  const schema = messages.get(name);
  if (schema === undefined && messages.size > 0)
    throw invalid(
      'MODULE_FAILED',
      'send',
      name,
      `a message of model.yaml: ${[...messages.keys()].join(', ')}`,
    );
  const json = jsonOf(`message ${name}`, message, data.limits.messageBytes);
  const checked = await schema?.check(JSON.parse(json));
  if (checked?.ok === false)
    throw invalid('MODULE_FAILED', `message ${name}`, message, checked.problem);
  session.put(RecordField.message, (out) => out.bytes(namedBody(name, json)));
  await goOn(session, scope);
}

/** The next part; undefined after the last, and at a stop. @param latest skips to the newest there is */
export async function input(
  session: ModuleSession,
  scope: Scope,
  latest: boolean,
): Promise<Part | undefined> {
  await session.breathe();
  const { parts } = session;
  const replaying = (): boolean => session.records.replaying;
  let newest: Part | undefined;
  let taken = 0;
  const take = (): void => {
    const part = parts.take();
    if (part === undefined) return;
    taken += 1;
    // The last part may only say that it is the last.
    if (part.inputs.length > 0) newest = part;
    const passedOver = taken > 1;
    session.put(RecordField.input, (out) => out.bytes(inputBody(part.number)), { passedOver });
  };
  // Parts that the loop's own call takes are followed by another call's records; a handler's may be by more parts.
  const marks = scope.nested && latest && session.host.data.survival === 'replay';
  const mark = String(scope.calls);
  while (replaying() && (taken === 0 || latest)) {
    await session.handOut(scope);
    if (!replaying()) break;
    const number = session.again((log, point) => log.part(point));
    if (number === undefined) break;
    await session.until(scope, () => !parts.empty, false);
    session.again((log) => log.took());
    take();
  }
  if (replaying()) {
    if (taken === 0 && !parts.ended)
      throw session.mismatch(notDeterministic('it asked for input where it was given none'));
    if (marks && taken > 0) {
      if (!session.again((log, point) => log.mark(point, LATEST, mark)))
        throw session.mismatch(notDeterministic('it asked for other input'));
      putMark(session, LATEST, mark);
    }
    return newest;
  }
  if (taken === 0) {
    session.snapshots.waits();
    if (parts.empty && !parts.ended) session.records.waitsForInput(parts.taken);
    session.host.flush();
    await session.until(scope, () => !parts.empty || parts.ended || session.stopped !== undefined);
    take();
  }
  while (latest && !parts.empty) take();
  if (marks && taken > 0) putMark(session, LATEST, mark);
  if (taken > 0) session.host.flush();
  return newest;
}

/** Waits for a command, for a stop, or for the time to pass. False at a stop. */
export async function idle(
  session: ModuleSession,
  scope: Scope,
  milliseconds: number | undefined,
): Promise<boolean> {
  await session.breathe();
  const before = session.applied;
  await session.handOut(scope);
  // The time has passed already.
  if (session.records.replaying) return true;
  let over = milliseconds !== undefined && milliseconds <= 0;
  const timer =
    milliseconds === undefined || over
      ? undefined
      : setTimeout(() => {
          over = true;
          session.wake();
        }, milliseconds);
  session.snapshots.waits();
  try {
    await session.until(
      scope,
      () => over || session.applied > before || session.stopped !== undefined,
    );
  } finally {
    clearTimeout(timer);
  }
  return session.stopped === undefined;
}

/** What a first run found out, and a second one is given. */
export async function record(
  session: ModuleSession,
  scope: Scope,
  name: string,
  make: () => unknown,
): Promise<unknown> {
  await session.breathe();
  const replays = session.host.data.survival === 'replay';
  const failed = `${THREW} ${name}`;
  const found = session.records.replaying
    ? session.again((log, point) => log.value(point, [name, failed]))
    : undefined;
  if (session.records.replaying && found === undefined)
    throw session.mismatch(notDeterministic(`ctx.record of ${name} was not there the first time`));
  const value = found ?? (await made(session, name, make, replays ? failed : undefined));
  session.put(RecordField.recorded, (out) => out.bytes(namedBody(value.name, value.json)));
  await goOn(session, scope);
  const given: unknown = JSON.parse(value.json);
  if (value.name === name) return given;
  throw Object.assign(new Error(), given);
}

/** @param failed name under which it is kept that it threw; absent: it throws */
async function made(
  session: ModuleSession,
  name: string,
  make: () => unknown,
  failed: string | undefined,
): Promise<{ name: string; json: string }> {
  const most = session.host.data.limits.recordValueBytes;
  let value: unknown;
  try {
    value = await make();
  } catch (thrown) {
    if (failed === undefined || session.lost) throw thrown;
    const { name: kind, message } = thrown instanceof Error ? thrown : new Error(String(thrown));
    const error = { name: kind, message: message.slice(0, most >> 4) };
    return { name: failed, json: jsonOf(`error of ${name}`, error, most) };
  }
  return { name, json: jsonOf(`value ${name}`, value, most) };
}

function putMark(session: ModuleSession, name: string, mark: string): void {
  session.put(RecordField.recorded, (out) => out.bytes(namedBody(name, mark)));
}

function putChunk(session: ModuleSession, outputs: Outputs, { text, key }: EmitOptions): void {
  const write = (out: Parameters<typeof writeChunk>[0]): void =>
    writeChunk(out, session.host.outputs, outputs, text ?? '');
  session.put(RecordField.chunk, write, { key: key === true });
}

/** Sends the record that was made, and waits until the next one may follow. */
async function goOn(session: ModuleSession, scope: Scope): Promise<void> {
  session.host.flush();
  await session.breathe();
  const kept = session.host.data.survival === 'commit';
  await session.until(
    scope,
    () =>
      kept ||
      session.mayEmit ||
      session.records.replaying ||
      session.stopped !== undefined ||
      session.snapshots.wanted,
  );
}
