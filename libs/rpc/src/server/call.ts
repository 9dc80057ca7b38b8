import { Metadata } from '@grpc/grpc-js';
import type { ServerUnaryCall } from '@grpc/grpc-js';
import { CabstandError } from '@cabstand/core';
import type { Principal } from '@cabstand/core';
import type { CallObservation, CallObserver, MethodInfo, Recheck, ServerCall } from '../contract';
import { publicError } from '../status';
import { tellLetIn } from '../let-in';
import type { TraceContext } from '../trace';

/** What all four kinds of grpc-js server calls have in common. */
export interface SurfaceCall {
  readonly metadata: Metadata;
  readonly cancelled: boolean;
  getPeer(): string;
  getAuthContext(): ReturnType<ServerUnaryCall<unknown, unknown>['getAuthContext']>;
  getDeadline(): Date | number;
  sendMetadata(metadata: Metadata): void;
  on(event: 'cancelled', listener: () => void): unknown;
}

/** - `open`: handled. - `over`: answered, failed or gone; told to observers once. */
type State = { readonly kind: 'open' } | { readonly kind: 'over' };

const NOBODY: Principal = { id: '', roles: new Set() };

/** One call from its arrival to its end: who it is from, whether it still runs, who watches it. */
export class ActiveCall implements ServerCall {
  readonly info: MethodInfo;
  readonly metadata: Metadata;
  readonly peer: string;
  readonly deadline: number | undefined;
  principal: Principal = NOBODY;
  /** How to see whether its caller is still trusted. */
  readonly rechecks: Recheck[] = [];
  readonly observations: readonly CallObservation[];
  /** Made when it is asked for: most calls are short, and nobody listens. */
  #controller: AbortController | undefined;
  /** Why it was given up. */
  #reason: CabstandError | undefined;
  readonly #onEnd: (() => void)[] = [];
  #state: State = { kind: 'open' };
  #trailers: Metadata | undefined;
  #trace: TraceContext | undefined;

  constructor(info: MethodInfo, call: SurfaceCall, observers: readonly CallObserver[]) {
    this.info = info;
    this.metadata = call.metadata;
    this.peer = call.getPeer();
    const deadline = Number(call.getDeadline());
    this.deadline = Number.isFinite(deadline) ? deadline : undefined;
    this.observations = observers.map((observer) => observer.started(info));
    // grpc-js says `cancelled` for a cancel, a lost connection, a deadline, and after every answer.
    call.on('cancelled', () => this.#abandoned());
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  get trace(): TraceContext | undefined {
    return this.#trace;
  }

  /** Made when it is asked for: hardly any call has some. */
  get trailers(): Metadata {
    return (this.#trailers ??= new Metadata());
  }

  /** What is to be sent of them; undefined where nobody asked for them. */
  get ownTrailers(): Metadata | undefined {
    return this.#trailers;
  }

  get over(): boolean {
    return this.#state.kind === 'over';
  }

  /** Runs once when the call is over; at once if it is already. */
  onEnd(release: () => void): void {
    if (this.over) release();
    else this.#onEnd.push(release);
  }

  /** Its caller is known. */
  letIn(): void {
    const { principal, peer } = this;
    this.#trace = tellLetIn(this.observations, this.metadata, { principal, peer });
  }

  sent(): void {
    for (const observation of this.observations) observation.messageSent();
  }

  received(): void {
    for (const observation of this.observations) observation.messageReceived();
  }

  /** The call was answered, well or with `thrown`. Answers with what the caller is told. */
  finish(thrown?: unknown): CabstandError | undefined {
    const error = thrown === undefined ? undefined : publicError(thrown);
    this.#end(error);
    return error;
  }

  /** Ends a call that runs. Its handler sees the signal abort; the caller is told by whoever calls this. */
  expel(error: CabstandError): void {
    if (this.over) return;
    this.#abort(error);
    this.#end(error);
  }

  #abort(error: CabstandError): void {
    this.#reason = error;
    this.#controller?.abort(error);
  }

  #abandoned(): void {
    if (this.over) return;
    const late = this.deadline !== undefined && this.deadline <= Date.now();
    const error = late
      ? new CabstandError('DEADLINE_EXCEEDED', 'the deadline of the call passed')
      : new CabstandError('CANCELLED', 'the caller cancelled the call or its connection was lost');
    this.#abort(error);
    this.#end(error);
  }

  #end(error: CabstandError | undefined): void {
    if (this.over) return;
    this.#state = { kind: 'over' };
    const { principal, peer } = this;
    const told = principal === NOBODY ? { peer } : { principal, peer, trace: this.#trace };
    for (const observation of this.observations) observation.finished(error, told);
    for (const release of this.#onEnd) release();
  }
}
