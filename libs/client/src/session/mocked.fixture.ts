/** Sessions at mocked hosters: in memory, or with the mock behind real sockets. */
import type { RpcServer } from '@cabstand/rpc';
import { GrpcProtocol } from '../grpc/protocol';
import { MockProtocol, serveMock, trusting } from '@cabstand/testing';
import type { MockProtocolOptions } from '@cabstand/testing';
import type { SessionProtocol } from '../protocol/types';
import { RemoteManager } from '../remote/manager';
import type { Chunk } from './chunk';
import { SessionManager } from './manager';
import type { SessionManagerOptions } from './manager';
import type { SessionOptions } from './options';

const closers: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** What it opens is closed after the test. */
export async function mocked(
  kind: 'mock' | 'grpc',
  options: MockProtocolOptions = {},
  manage: SessionManagerOptions = {},
  open: Partial<SessionOptions> = {},
) {
  const mock = new MockProtocol(options);
  const served =
    kind === 'grpc'
      ? await Promise.all(mock.hosters.map((hoster) => serveMock(mock, hoster)))
      : undefined;
  const servers: readonly RpcServer[] = served?.map(({ server }) => server) ?? [];
  const addresses = served?.map(({ address }) => address) ?? mock.hosters;
  closers.push(() => Promise.all(servers.map((server) => server.shutdown(0))));
  const setting = { mock, addresses };
  const { remote, sessions, protocol } = processOf(kind, setting, manage);
  const session = sessions.session({ model: 'm', ...open });
  return { ...setting, remote, sessions, session, servers, protocol };
}

/** Another process: managers of its own, for the same hosters. */
export function processOf(
  kind: 'mock' | 'grpc',
  { mock, addresses }: { readonly mock: MockProtocol; readonly addresses: readonly string[] },
  manage: SessionManagerOptions = {},
) {
  const { clock } = manage;
  const remote = new RemoteManager({
    hosters: addresses,
    authorizer: trusting,
    ...(clock === undefined ? {} : { clock }),
  });
  const protocol: SessionProtocol =
    kind === 'grpc' ? new GrpcProtocol({ authorizer: trusting }, clock) : mock;
  const sessions = new SessionManager(remote, {
    protocol,
    ...manage,
    retry: { initialMs: 1, maxMs: 5, ...manage.retry },
  });
  closers.push(
    () => protocol.close(),
    () => remote.close(),
    () => sessions.close(),
  );
  return { remote, sessions, protocol };
}

export async function collect(chunks: AsyncIterable<Chunk>): Promise<Chunk[]> {
  const all: Chunk[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return all;
}

/** The words of a turn. */
export async function texts(chunks: AsyncIterable<Chunk>): Promise<string> {
  return (await collect(chunks)).map(({ text }) => text).join(' ');
}
