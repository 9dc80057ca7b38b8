/** Which process a call goes to. */
export type Target = 'router' | 'hoster-0' | 'hoster-1';

/** What a caller does, one after another. */
export type Step =
  | { readonly do: 'send'; readonly bytes: Buffer }
  /** Closes its side. */
  | { readonly do: 'end' }
  /** Waits until so many replies have come in all, or a moment, or until the call is over. */
  | { readonly do: 'replies'; readonly count: number }
  /** Waits until so many turns have ended in all, or until the call is over. */
  | { readonly do: 'turns'; readonly count: number }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'cancel' };

/** One call as it goes over the wire: everything that it takes to make it again. */
export interface Call {
  readonly target: Target;
  /** `/cabstand.v1.HosterService/rpc_info` */
  readonly path: string;
  /** Whose credentials it carries, and which. */
  readonly member: 'client' | 'admin' | 'hoster';
  readonly scheme: 'signature' | 'bearer';
  /** The request is signed with its body. */
  readonly requestStream: boolean;
  /** By contract it ends only when its caller ends it: a watch. */
  readonly endless: boolean;
  readonly steps: readonly Step[];
}

/** What a caller saw of a call. */
export interface Outcome {
  /** gRPC status; undefined where none has come, long after the deadline. */
  readonly code: number | undefined;
  readonly message: string;
  /** What stands in `grpc-status-details-bin`. */
  readonly details: Buffer | undefined;
  readonly replies: readonly Buffer[];
  /** Until its end, in milliseconds. */
  readonly ms: number;
}

/** The server has all it needs to end the call: it must. */
export function mustEnd(call: Call): boolean {
  const does = (what: Step['do']): boolean => call.steps.some((step) => step.do === what);
  return !call.endless && does('end') && !does('cancel');
}

/** Nothing that the fuzzer asks for takes longer, on a busy machine either. */
const DEADLINE_MS = 20_000;
/** A message goes in windows of 64 KiB, each of which waits for both event loops. */
const DEADLINE_MS_A_MIB = 8000;
const MIB = 1_048_576;

/** How long a call may take. */
export function deadlineMs({ steps }: Call): number {
  const sent = steps.reduce((sum, step) => sum + (step.do === 'send' ? step.bytes.length : 0), 0);
  return DEADLINE_MS + (sent / MIB) * DEADLINE_MS_A_MIB;
}

/** Calls that belong together, as a file. */
export interface Case {
  /** What was found with it. */
  readonly finding: string;
  /**
   * Of the run, and the number of the story in it, which make it again with other checkpoints; a story below 0
   * for calls that are none's.
   */
  readonly seed: number;
  readonly story: number;
  readonly calls: readonly Call[];
}

/** Bytes become hex digits. */
export function caseToJson(found: Case): string {
  const calls = found.calls.map((call) => ({
    ...call,
    steps: call.steps.map((step) =>
      step.do === 'send' ? { ...step, bytes: step.bytes.toString('hex') } : step,
    ),
  }));
  return `${JSON.stringify({ ...found, calls }, null, 2)}\n`;
}

export function caseFromJson(text: string): Case {
  return JSON.parse(text, (key, value: unknown) =>
    key === 'bytes' && typeof value === 'string' ? Buffer.from(value, 'hex') : value,
  ) as Case;
}
