import type { Http2Session } from 'node:http2';
import type { ServerInterceptor } from '@grpc/grpc-js';
import { shedStreams } from './stream-table';

/** The connections of a server on which calls were made, as `node:http2` has them. */
export class Http2Sessions {
  readonly #open = new Set<Http2Session>();

  /**
   * Runs an interceptor, and notes the connection of each call: its table of streams is made one that lets go. To be the
   * first interceptor of a server: only the call that grpc-js makes itself knows its stream.
   */
  noting(interceptor: ServerInterceptor): ServerInterceptor {
    return (method, call) => {
      const { session } = (call as { stream?: { session?: Http2Session } }).stream ?? {};
      if (session !== undefined && !this.#open.has(session)) this.#opened(session);
      return interceptor(method, call);
    };
  }

  /**
   * Resolves once all are closed, as they are when they were told to and their calls are over. From Node 24 a server of
   * `node:http2` that is closed closes its sessions itself, and grpc-js takes one that is told to close for closed.
   */
  async closed(): Promise<void> {
    const closed = (session: Http2Session): Promise<void> =>
      new Promise((resolve) => void session.once('close', () => resolve()));
    await Promise.all([...this.#open].map(closed));
  }

  #opened(session: Http2Session): void {
    this.#open.add(session);
    session.once('close', () => this.#open.delete(session));
    shedStreams(session);
  }
}
