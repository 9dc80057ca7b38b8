import { RemoteManager, SessionManager } from '@cabstand/client';
import type { Chunk, RemoteManagerOptions, Session } from '@cabstand/client';
import { float32Of } from '@cabstand/tensor';
import type { Subnet } from '@cabstand/testing';

/** A client of a test's subnet, closed with the test. */
export class TestClient implements AsyncDisposable {
  readonly remote: RemoteManager;
  readonly sessions: SessionManager;

  constructor(subnet: Subnet, options: Partial<RemoteManagerOptions> = {}, member = 'client') {
    const authorizer = subnet.authorizer(member);
    this.remote = new RemoteManager({ routers: subnet.routerAddresses, authorizer, ...options });
    this.sessions = new SessionManager(this.remote);
  }

  session(model: string): Session {
    return this.sessions.session({ model });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sessions.close();
    await this.remote.close();
  }
}

/** The first number of each chunk's `speech_probability`. */
export async function probabilities(chunks: AsyncIterable<Chunk>): Promise<Float32Array> {
  const values: number[] = [];
  for await (const chunk of chunks)
    values.push(float32Of(chunk.tensor('speech_probability'))[0] ?? NaN);
  return Float32Array.from(values);
}
