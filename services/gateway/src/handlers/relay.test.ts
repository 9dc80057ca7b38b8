/** Sessions of callers that resume by themselves, as client libraries do, through gateways and hosters that die. */
import { RemoteManager, SessionManager } from '@cabstand/client';
import type { Chunk, Session } from '@cabstand/client';
import { GrpcProtocol } from '@cabstand/client/protocol';
import { CabstandError } from '@cabstand/core';
import { HosterService } from '@cabstand/rpc';
import type { v1 } from '@cabstand/rpc';
import { refusalOf, trusting, until } from '@cabstand/testing';
import { caller, closeGateways, gatewaysOf } from '../gateways.fixture';
import type { GatewayInMemory } from '../gateways.fixture';

const closers: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  await closeGateways();
});

const WORDS = Array.from({ length: 40 }, (_, i) => `w${i}`);

/** A client that knows gateways as it would know hosters. */
function clientOf(gateways: readonly GatewayInMemory[]): SessionManager {
  const hosters = gateways.map(({ address }) => address);
  const remote = new RemoteManager({ hosters, authorizer: trusting });
  const protocol = new GrpcProtocol({ authorizer: trusting });
  const sessions = new SessionManager(remote, { protocol, retry: { initialMs: 1, maxMs: 5 } });
  closers.push(
    () => protocol.close(),
    () => remote.close(),
    () => sessions.close(),
  );
  return sessions;
}

/** Reads a turn of all words; `hurt` strikes once, behind the tenth. */
async function readTurn(session: Session, hurt: () => unknown): Promise<Chunk[]> {
  const chunks: Chunk[] = [];
  for await (const chunk of session.runProtocolTask(WORDS.join(' '))) {
    chunks.push(chunk);
    if (chunks.length === 10) await hurt();
  }
  return chunks;
}

const texts = (chunks: readonly Chunk[]): string[] => chunks.map(({ text }) => text);

const named = (gateways: readonly GatewayInMemory[], session: Session): GatewayInMemory =>
  gateways.find(({ address }) => address === session.node?.address)!;

test('a gateway dies: the turn goes on through the other one, where it was, and so does the next', async () => {
  const { mock, gateways } = await gatewaysOf(2, { ackEvery: 1 });
  const session = clientOf(gateways).session({ model: 'm' });
  const first = await readTurn(session, () => named(gateways, session).die());
  expect(texts(first)).toEqual(WORDS);
  expect(texts(await readTurn(session, () => undefined))).toEqual(WORDS);
  // What its hoster has is sent from there: nothing is computed twice.
  expect(mock.turns.map(({ turn }) => turn)).toEqual([0, 1]);
});

test('the hoster dies behind the only gateway: its caller resumes with the checkpoint that it holds', async () => {
  const { mock, gateways } = await gatewaysOf(1, { ackEvery: 1 });
  const session = clientOf(gateways).session({ model: 'm' });
  mock.fail({ kind: 'die', after: 10 });
  expect(texts(await readTurn(session, () => undefined))).toEqual(WORDS);
  expect(mock.turns.map(({ turn }) => turn)).toEqual([0, 0]);
});

test('gateway and hoster die at once', async () => {
  const { mock, gateways } = await gatewaysOf(2, { ackEvery: 1 });
  const session = clientOf(gateways).session({ model: 'm' });
  mock.fail({ kind: 'die', after: 10 });
  const chunks = await readTurn(session, () => named(gateways, session).die());
  expect(texts(chunks)).toEqual(WORDS);
});

test('a gateway that stops sends its callers to another one', async () => {
  const { gateways } = await gatewaysOf(2, { ackEvery: 1 });
  const session = clientOf(gateways).session({ model: 'm' });
  const chunks = await readTurn(session, () => {
    const { stop } = named(gateways, session);
    stop.abort(new CabstandError('DRAINING', 'the gateway stops'));
  });
  expect(texts(chunks)).toEqual(WORDS);
});

test('such a session counts while it is open, and a session that nobody has is unknown', async () => {
  const { gateways } = await gatewaysOf(1);
  const { sessions, client } = gateways[0]!;
  const epoch = { counter: 1, owner: Buffer.alloc(16, 1) };
  const stream = client.bidi(HosterService.rpc_session_stream);
  const open: v1.Open = { session_id: 's', epoch, durable: true, resumes: true, model: 'm' };
  await stream.send({ open });
  await stream.responses.ready();
  expect(stream.responses.read()?.notice?.opened?.session_id).toBe('s');
  expect(sessions.size).toBe(1);
  expect(sessions.find(caller, 's')).toBeUndefined();
  stream.cancel();
  await until('it to be over', () => sessions.size === 0 || undefined);

  const attach = client.bidi(HosterService.rpc_session_stream);
  await attach.send({ attach: { session_id: 'none', epoch, resumes: true } });
  const { reason } = await refusalOf(attach.responses.ready());
  expect(reason).toBe('SESSION_UNKNOWN');
});
