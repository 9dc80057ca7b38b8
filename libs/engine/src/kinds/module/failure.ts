/** What an author's code threw, as callers and logs may see it. */
import { realpathSync } from 'node:fs';
import path from 'node:path';
import { CabstandError, brief } from '@cabstand/core';
import type { Reason } from '@cabstand/core';

export interface ErrorDetail {
  readonly reason: Reason;
  readonly message: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Thrown in the author's code where nothing of his is wanted any more. */
export class SessionOver extends Error {
  override readonly name = 'SessionOver';

  /** @param session whose ctx was called */
  constructor(readonly session: object) {
    super('the session is over');
  }
}

/**
 * What a session's code threw. That another session is over is no end of this one: its author kept a ctx, which is
 * a mistake of his.
 */
export function thrownIn(session: object, thrown: unknown): unknown {
  if (!(thrown instanceof SessionOver) || thrown.session === session) return thrown;
  return stale('the ctx of another session, which is over, was called', thrown);
}

/** A call by what a handler was given, once that is over. */
export function staleHandler(call: string): CabstandError {
  return stale(`ctx.${call}() was called with the ctx of a command's handler that is over`);
}

function stale(what: string, cause?: Error): CabstandError {
  return new CabstandError(
    'MODULE_FAILED',
    `${what}: keep no ctx, each run of startSession and of a handler is given its own`,
    { metadata: { problem: 'stale_context' }, cause },
  );
}

/** How an author refuses a command: any error with this name and a code. */
export interface CommandError extends Error {
  readonly code: unknown;
}

/** The code of a refusal in words. */
export function codeOf({ code }: CommandError): string {
  return brief(told(() => String(code)));
}

export function isCommandError(thrown: unknown): thrown is CommandError {
  return thrown instanceof Error && thrown.name === 'CommandError' && 'code' in thrown;
}

/** POSIX, Windows and file URLs; a caller has no use for them, and they tell of the machine. */
const PATHS = /(?:file:\/\/)?(?:[A-Za-z]:)?(?:[\\/][^\s\\/'":()]+){2,}(?::\d+(?::\d+)?)?/g;

/** Authors throw what they like, also what throws when it is asked what it is. */
function told(say: () => string): string {
  try {
    return say();
  } catch {
    return 'thrown: something that cannot be put into words';
  }
}

/** `Error: message`, without paths. @param folder its files are named as seen from there */
export function publicMessage(thrown: unknown, folder?: string): string {
  const text = told(() =>
    thrown instanceof Error
      ? `${thrown.name}: ${thrown.message}${hintOf(thrown)}`
      : `thrown: ${String(thrown)}`,
  );
  const named = folder === undefined ? text : text.replaceAll(`${folder}${path.sep}`, '');
  return brief(named.replace(PATHS, '<path>').replace(/\s*\n\s*/g, ' '));
}

/**
 * Where in the author's folder something happened, as `index.ts:12:5`: the first place that a message or a
 * stack names. Undefined where it names none.
 *
 * @param folder of the version
 */
export function placeIn(text: string, folder: string): string | undefined {
  for (const root of new Set([folder, realPath(folder)])) {
    for (const place of text.split(root + path.sep).slice(1)) {
      const found = /^[^\s:()]+:\d+(?::\d+)?/.exec(place);
      if (found !== null) return found[0];
    }
  }
  return undefined;
}

function realPath(folder: string): string {
  try {
    return realpathSync(folder);
  } catch {
    return folder;
  }
}

/** What JavaScript says of a frozen object does not say why it is frozen. */
function hintOf(thrown: Error): string {
  return thrown instanceof TypeError && /not extensible|read only property/.test(thrown.message)
    ? ' (is it the module itself? All sessions share it, and it is frozen after load: what belongs to one is in ctx.state)'
    : '';
}

/** Files of this runtime, which an author has not written. */
const OWN = path.resolve(__dirname, '../../../..') + path.sep;

/** With the author's file and line: for the log of whoever runs the hoster. Calls within the runtime are left out. */
export function stackOf(thrown: unknown): string {
  return told(() => stackIn(thrown));
}

function stackIn(thrown: unknown): string {
  if (!(thrown instanceof Error)) return `thrown: ${String(thrown)} (no Error: no line is known)`;
  // A failure of the runtime's own that wraps another one: that is where the author looks.
  if (CabstandError.is(thrown) && thrown.cause instanceof Error)
    return `${thrown.message}\n${stackIn(thrown.cause)}`;
  const stack: unknown = thrown.stack;
  const text = typeof stack === 'string' ? stack : thrown.message;
  const [first = thrown.message, ...calls] = text.split('\n');
  const theirs = calls.filter((line) => !/^\s+at /.test(line) || !isOwn(line));
  return [first + hintOf(thrown), ...(theirs.length === 0 ? calls : theirs)].join('\n');
}

function isOwn(call: string): boolean {
  return call.includes(OWN) || call.includes('node:');
}

/** A CabstandError of the runtime stays what it is; all else is the module's failure. */
export function failureOf(thrown: unknown): ErrorDetail {
  if (CabstandError.is(thrown)) {
    const { reason, message, metadata } = thrown;
    return { reason, message, metadata: { ...metadata } };
  }
  return {
    reason: 'MODULE_FAILED',
    message: publicMessage(thrown),
    metadata: { problem: 'threw' },
  };
}

/** A call of `ctx` while another one is under way. */
export function concurrent(call: string): CabstandError {
  return new CabstandError(
    'MODULE_FAILED',
    call.startsWith('command ')
      ? `${call}its handler was over before its last call of ctx was: await each of them`
      : `ctx.${call}() was called before the last call was over: await each of them`,
    { metadata: { problem: 'concurrent_call' } },
  );
}

/** By `problem`, or by reason. */
const ENDING: ReadonlySet<string> = new Set([
  'not_deterministic',
  'uncommitted',
  'TURN_OUT_OF_ORDER',
  'COMMAND_CONFLICT',
  'LIMIT_EXCEEDED',
]);

/** Whether a rule of the runtime was broken, which ends the session even if its author catches it. */
export function endsSession(error: unknown): error is CabstandError {
  return CabstandError.is(error) && ENDING.has(error.metadata.problem ?? error.reason);
}
