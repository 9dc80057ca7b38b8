import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { status as Code } from '@grpc/grpc-js';
import { HosterService, googleRpc } from '@cabstand/rpc';
import { REPOSITORY_ROOT } from '@cabstand/testing';
import { deadlineMs, mustEnd } from './call';
import type { Call, Outcome } from './call';

/** Texts that only the inside of a server has. */
const SECRETS: readonly string[] = [
  ...new Set([REPOSITORY_ROOT, homedir(), path.join(tmpdir(), 'cabstand-')]),
  ...['/home/', '/work/', 'node_modules', '.ts:', '.js:'],
].filter((text) => text.length > 1);
const STACK = /\n\s+at .+:\d+/;
/** What a JavaScript engine says of a program's mistake. */
const MISTAKE =
  /\b(?:TypeError|RangeError|ReferenceError|Cannot read propert|is not a function|is not iterable|undefined \(reading)/;
/** A failure that no caller can be the cause of. */
const OWN_FAULTS = new Set(['INTERNAL', 'NODE_BAD_REPLY']);

/** What a caller was told besides its results, in the status and in the stream. */
interface Told {
  readonly texts: readonly string[];
  readonly reasons: readonly string[];
  /** Turns that were completed, and inferences (steps) of all that ended. */
  readonly turns: number;
  readonly steps: number;
}

/** What is wrong with how a call went; nothing where all is well. */
export function judge(call: Call, outcome: Outcome, told: Told): string[] {
  const { code, message, ms } = outcome;
  const findings: string[] = [];
  const name = call.path.slice(call.path.lastIndexOf('/') + 1);
  if (code === undefined) findings.push(`${name}: no status, long after its deadline`);
  if (code === Code.INTERNAL || code === Code.UNKNOWN)
    findings.push(`${name}: status ${Code[code]}: ${message}`);
  // A refusal by a handler has details; this comes from a connection that broke.
  if (code === Code.UNAVAILABLE && outcome.details === undefined)
    findings.push(`${name}: the connection was lost: ${message}`);
  if (mustEnd(call) && (code === Code.DEADLINE_EXCEEDED || ms >= deadlineMs(call)))
    findings.push(
      `${name}${asked(call)} hangs: ${String(outcome.replies.length)} replies, then no end`,
    );
  for (const reason of told.reasons)
    if (OWN_FAULTS.has(reason)) findings.push(`${name}: reason ${reason}`);
  for (const text of [message, ...told.texts]) {
    const secret = SECRETS.find((one) => text.includes(one));
    if (secret !== undefined || STACK.test(text) || MISTAKE.test(text))
      findings.push(`${name}: tells of its inside: ${text.slice(0, 300)}`);
  }
  return findings;
}

/** Tells hangs apart: what a turn's first request asks for beside the turn. */
function asked(call: Call): string {
  const first = call.steps.find((step) => step.do === 'send');
  const method = HosterService.rpc_inference_stream;
  if (first === undefined || call.path !== method.info.path) return '';
  try {
    const { resume, durable, from_position } = method.request.decode(first.bytes);
    return `${resume ? ' resume' : ''}${durable ? ' durable' : ''}${from_position > 0 ? ' from a position' : ''}`;
  } catch {
    return ' damaged';
  }
}

/** What a hoster's stream may hold, of either kind. */
interface Event {
  readonly record?: {
    readonly end_of_turn?: {
      readonly reason: string;
      readonly steps: unknown;
      readonly error?: ErrorTold | null;
    } | null;
  } | null;
  readonly closed?: { readonly error?: ErrorTold | null } | null;
}

interface ErrorTold {
  readonly reason: string;
  readonly message: string;
  readonly metadata: Readonly<Record<string, string>>;
}

const STREAMS = new Map<string, (bytes: Buffer) => Event>([
  [
    HosterService.rpc_inference_stream.info.path,
    HosterService.rpc_inference_stream.response.decode,
  ],
  [HosterService.rpc_session_stream.info.path, HosterService.rpc_session_stream.response.decode],
]);

/** Reads what a call was told. Throws if a reply is no message of its method. */
export function read(call: Call, { details, replies }: Outcome): Told {
  const texts: string[] = [];
  const reasons: string[] = [];
  let turns = 0;
  let steps = 0;
  const take = (reason: string, facts: Readonly<Record<string, string>>): void => {
    reasons.push(reason);
    texts.push(...Object.values(facts));
  };
  if (details !== undefined) {
    const status = googleRpc.Status.decode(details);
    texts.push(status.message);
    for (const { type_url, value } of status.details)
      if (type_url.endsWith('google.rpc.ErrorInfo')) {
        const info = googleRpc.ErrorInfo.decode(value);
        take(info.reason, info.metadata);
      }
  }
  const decode = STREAMS.get(call.path);
  for (const reply of replies) {
    if (decode === undefined) {
      texts.push(reply.toString('latin1'));
      continue;
    }
    const { record, closed } = decode(reply);
    const end = record?.end_of_turn;
    if (end) {
      steps += Number(end.steps);
      if (end.reason === 'END_REASON_COMPLETED') turns += 1;
    }
    for (const error of [end?.error, closed?.error])
      if (error) {
        take(error.reason, error.metadata);
        texts.push(error.message);
      }
  }
  return { texts, reasons, turns, steps };
}
