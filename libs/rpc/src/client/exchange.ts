import { Metadata, connectivityState, status as grpcStatus } from '@grpc/grpc-js';
import type { ChannelInterface, StatusObject } from '@grpc/grpc-js';
import { CabstandError, abortReason } from '@cabstand/core';
import type { Clock, Timer } from '@cabstand/core';
import type { MethodInfo, OutgoingRequest } from '../contract';
import { fromStatus } from '../status';
import { explainConnecting } from './connect-problem';
import type { RpcClientSettings } from './options';

type GrpcCall = ReturnType<ChannelInterface['createCall']>;

export interface CallOptions {
  /** Cancels the call; it fails with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Longest time for the whole call, in milliseconds. Default: none. */
  readonly timeoutMs?: number | undefined;
  /** Further headers, `traceparent` for example. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** The principal that the call is for; only gateways may name one. Default: one's own. */
  readonly onBehalfOf?: string | undefined;
}

/** Where exchanges happen. */
export interface Endpoint {
  readonly address: string;
  /** For one more call. */
  readonly channel: () => ChannelInterface;
  /** Whether there is a connection for one more call. */
  readonly connected: () => boolean;
  readonly settings: RpcClientSettings;
  readonly clock: Clock;
  /** Counts a call in; answers how to count it out. `cancel` ends it when the client is closed. */
  enter(cancel: (error: CabstandError) => void): () => void;
}

export interface ExchangeListener {
  /** The server took the call and proved itself, or needs no proof. Called once, before any message. */
  accepted(): void;
  message(bytes: Buffer): void;
  /** Nothing follows. */
  ended(error: CabstandError | undefined): void;
  /** Credentials were renewed: everything sent so far has to be sent again. */
  restarted(): void;
}

/**
 * - `opening`: signing, connecting, or waiting for the server's first headers.
 * - `proving`: the server's proof is being checked; what arrives meanwhile waits.
 * - `open`: messages pass.
 * - `over`: told to the listener.
 */
type State =
  | { readonly kind: 'opening' }
  | { readonly kind: 'proving'; message?: Buffer; status?: StatusObject }
  | { readonly kind: 'open' }
  | { readonly kind: 'over' };

/** One call on the wire: signed, proven, bounded in time, tried again once with renewed credentials. */
export class Exchange {
  readonly #endpoint: Endpoint;
  #request: OutgoingRequest;
  readonly #options: CallOptions;
  readonly #listener: ExchangeListener;
  readonly #body: Buffer | undefined;
  readonly #deadline: number;
  readonly #onAbort: (() => void) | undefined;
  #state: State = { kind: 'opening' };
  #call: GrpcCall | undefined;
  #connecting: Timer | undefined;
  /** Answered by trying again, once each: a key for MACs that is not known, and all else about credentials. */
  readonly #refreshed = { macKey: false, other: false };
  #leave: (() => void) | undefined;
  #outgoing: { readonly bytes: Buffer; readonly sent: () => void } | undefined;
  #halfClosed = false;

  constructor(
    endpoint: Endpoint,
    info: MethodInfo,
    body: Buffer | undefined,
    options: CallOptions,
    listener: ExchangeListener,
  ) {
    this.#endpoint = endpoint;
    this.#request = {
      method: info.path,
      audience: endpoint.address,
      body,
      onBehalfOf: options.onBehalfOf,
    };
    this.#options = options;
    this.#listener = listener;
    this.#deadline =
      options.timeoutMs === undefined ? Infinity : endpoint.clock.now() + options.timeoutMs;
    this.#body = body;
    const { signal } = options;
    if (signal !== undefined) {
      this.#onAbort = () => this.cancel(abortReason(signal));
      signal.addEventListener('abort', this.#onAbort, { once: true });
    }
  }

  get over(): boolean {
    return this.#state.kind === 'over';
  }

  start(): void {
    const { signal } = this.#options;
    if (signal?.aborted === true) {
      this.#end(abortReason(signal));
      return;
    }
    try {
      this.#leave = this.#endpoint.enter((error) => this.cancel(error));
      void this.#attempt();
    } catch (thrown) {
      this.#end(CabstandError.from(thrown));
    }
  }

  /** Asks for one more message; the first is asked for already. */
  read(): void {
    this.#call?.startRead();
  }

  /** Sends one message; the next may follow once `sent` was called. */
  send(bytes: Buffer, sent: () => void): void {
    if (this.#call === undefined) this.#outgoing = { bytes, sent };
    else this.#call.sendMessageWithContext({ callback: sent }, bytes);
  }

  halfClose(): void {
    this.#halfClosed = true;
    this.#call?.halfClose();
  }

  /** Ends the call now, on both sides. */
  cancel(error: CabstandError): void {
    if (this.over) return;
    this.#end(error);
    this.#call?.cancelWithStatus(grpcStatus.CANCELLED, 'cancelled by the client');
  }

  async #attempt(): Promise<void> {
    const { authorizer } = this.#endpoint.settings;
    const metadata = new Metadata();
    try {
      for (const [name, value] of Object.entries(this.#options.headers ?? {}))
        metadata.set(name, value);
      if (authorizer !== undefined) {
        const { macKey, other } = this.#refreshed;
        const afresh = macKey || other || !this.#endpoint.connected();
        this.#request = { ...this.#request, afresh };
        const headers = await authorizer.signRequest(this.#request);
        for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
      }
      if (!this.over) this.#open(metadata);
    } catch (thrown) {
      this.#end(CabstandError.from(thrown, 'UNAUTHENTICATED'));
    }
  }

  #open(metadata: Metadata): void {
    const channel = this.#endpoint.channel();
    this.#watchConnecting(channel);
    const call = channel.createCall(this.#request.method, this.#deadline, null, null, null);
    this.#call = call;
    // Events of an attempt that was given up for another are not this call's any more.
    const current = (): boolean => this.#call === call && !this.over;
    call.start(metadata, {
      onReceiveMetadata: (headers) => {
        if (current()) this.#onHeaders(headers);
      },
      onReceiveMessage: (bytes: Buffer) => {
        if (current()) this.#onMessage(bytes);
      },
      onReceiveStatus: (status) => {
        if (current()) this.#onStatus(status);
      },
    });
    call.startRead();
    const body = this.#body;
    if (body !== undefined) call.sendMessageWithContext({}, body);
    else if (this.#outgoing !== undefined) {
      const { bytes, sent } = this.#outgoing;
      this.#outgoing = undefined;
      call.sendMessageWithContext({ callback: sent }, bytes);
    }
    if (body !== undefined || this.#halfClosed) call.halfClose();
  }

  // grpc-js has no limit of its own on connecting: https://github.com/grpc/grpc-node/issues/2785
  #watchConnecting(channel: ChannelInterface): void {
    const { clock, settings, address } = this.#endpoint;
    if (channel.getConnectivityState(true) === connectivityState.READY) return;
    const ms = settings.connectTimeoutMs;
    this.#connecting = clock.setTimer(() => {
      if (channel.getConnectivityState(false) === connectivityState.READY) return;
      this.cancel(
        new CabstandError('NODE_UNREACHABLE', `no connection to ${address} within ${ms} ms`, {
          metadata: { address },
        }),
      );
    }, ms);
  }

  #onHeaders(headers: Metadata): void {
    this.#connecting?.cancel();
    if (this.#state.kind === 'opening') this.#prove(headers);
  }

  #prove(headers: Metadata): void {
    const { authorizer } = this.#endpoint.settings;
    if (authorizer === undefined) {
      this.#accept();
      return;
    }
    this.#state = { kind: 'proving' };
    Promise.resolve()
      .then(() => authorizer.validateResponse(this.#request, headers))
      .then(
        () => this.#accept(),
        (thrown: unknown) => this.cancel(CabstandError.from(thrown, 'UNAUTHENTICATED')),
      );
  }

  #accept(): void {
    const before = this.#state;
    if (before.kind === 'over') return;
    this.#state = { kind: 'open' };
    this.#listener.accepted();
    if (before.kind !== 'proving') return;
    if (before.message !== undefined) this.#onMessage(before.message);
    if (before.status !== undefined) this.#onStatus(before.status);
  }

  #onMessage(bytes: Buffer): void {
    if (this.#state.kind === 'proving') this.#state.message = bytes;
    else this.#listener.message(bytes);
  }

  #onStatus(status: StatusObject): void {
    this.#connecting?.cancel();
    if (status.code !== grpcStatus.OK) {
      this.#onFailure(this.#explain(status));
      return;
    }
    switch (this.#state.kind) {
      case 'opening':
        this.#prove(status.metadata);
        this.#afterProof(status);
        return;
      case 'proving':
        this.#state.status = status;
        return;
      case 'open':
        this.#end(undefined);
        return;
      case 'over':
    }
  }

  #afterProof(status: StatusObject): void {
    if (this.#state.kind === 'proving') this.#state.status = status;
    else this.#end(undefined);
  }

  #explain(status: StatusObject): CabstandError {
    const error = fromStatus(status.code, status.details, status.metadata);
    if (error.metadata['grpc_status'] === 'UNAVAILABLE') return this.#explainConnecting(error);
    // This side did not cancel: the server went away, and says so no better.
    if (error.reason === 'CANCELLED' && error.metadata['grpc_status'] === 'CANCELLED')
      return new CabstandError('NODE_UNREACHABLE', `${this.#endpoint.address} ended the call`, {
        metadata: { address: this.#endpoint.address },
      });
    return error;
  }

  #explainConnecting(error: CabstandError): CabstandError {
    const { address, settings } = this.#endpoint;
    const explained = explainConnecting(error.message, settings.credentials._isSecure());
    if (explained === undefined) return error;
    const { message, problem } = explained;
    return new CabstandError(error.reason, message, {
      metadata: {
        ...error.metadata,
        address,
        ...(problem === undefined ? {} : { connection: problem }),
      },
      cause: error,
    });
  }

  #onFailure(error: CabstandError): void {
    const { authorizer } = this.#endpoint.settings;
    const early = this.#state.kind === 'opening' || this.#state.kind === 'proving';
    const about = error.reason === 'MAC_KEY_UNKNOWN' ? 'macKey' : 'other';
    const again = error.class === 'auth' && early && !this.#refreshed[about];
    if (!again || authorizer?.refresh === undefined) {
      this.#end(error);
      return;
    }
    this.#refreshed[about] = true;
    this.#call = undefined;
    authorizer.refresh(error, this.#request).then(
      (renewed) => {
        if (this.over) return;
        if (!renewed) this.#end(error);
        else this.#again();
      },
      () => this.#end(error),
    );
  }

  #again(): void {
    this.#state = { kind: 'opening' };
    this.#outgoing = undefined;
    this.#halfClosed = false;
    this.#listener.restarted();
    void this.#attempt();
  }

  #end(error: CabstandError | undefined): void {
    if (this.over) return;
    this.#state = { kind: 'over' };
    this.#connecting?.cancel();
    if (this.#onAbort !== undefined)
      this.#options.signal?.removeEventListener('abort', this.#onAbort);
    this.#leave?.();
    this.#listener.ended(error);
  }
}
