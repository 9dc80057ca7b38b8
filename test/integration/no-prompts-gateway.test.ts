/** What callers send through a gateway, and to modules, is in no log of any service. */
import { cpSync, rmSync } from 'node:fs';
import path from 'node:path';
import { MintedTokens, readPrivateKey } from '@cabstand/auth';
import { subnetPaths } from '@cabstand/auth-admin';
import { RemoteManager, SessionManager } from '@cabstand/client';
import { BUNDLED_MODELS, Subnet, freePorts, refusalOf, until } from '@cabstand/testing';
import { Gateway } from '../support/gateway';
import { moduleRepository } from '../support/module-models';
import { Ride } from '../support/ride';

const MARKER = 'xyzzyplugh';
const WORD = {
  type: 'object',
  properties: { by: { type: 'integer' } },
  additionalProperties: false,
};

const PROGRAM = `
export default class {
  static load() { return new this(); }
  newState() { return {}; }
  static commands = {
    add: { arguments: ${JSON.stringify(WORD)}, handle: () => null },
    refuse: { handle: () => { throw Object.assign(new Error('no'), { name: 'CommandError', code: 'no' }); } },
  };
  async startSession(ctx) {
    await ctx.send('heard', ctx.prompt);
    while (!ctx.shouldStop()) await ctx.idle(10);
  }
}`;

let subnet: Subnet;
let gateway: Gateway;
let models: string;
let base: string;

beforeAll(async () => {
  const log = { level: 'trace' };
  models = moduleRepository({
    talk: {
      program: { source: PROGRAM },
      manifest: {
        ...{ prompt: true, messages: { heard: {} } },
        parameters: { pace: { dtype: 'int64', default: 5 } },
      },
    },
  });
  cpSync(path.join(BUNDLED_MODELS, 'g2p'), path.join(models, 'g2p'), { recursive: true });
  subnet = await Subnet.start({
    ...{ hosters: 1, models, readyMs: 200_000 },
    ...{ routerConfig: { log }, hosterConfig: { log } },
  });
  const listen = `127.0.0.1:${String((await freePorts(1))[0])}`;
  base = `http://${listen}`;
  gateway = await Gateway.start(subnet, { log, http: { listen } });
}, 240_000);

afterAll(async () => {
  await (gateway as Gateway | undefined)?.[Symbol.asyncDispose]();
  await (subnet as Subnet | undefined)?.stop();
  rmSync(models, { recursive: true });
});

test('neither what is refused over HTTP nor what modules hear is in a log', async () => {
  const key = readPrivateKey(subnetPaths(subnet.keys).key('client'));
  const token = await new MintedTokens({ key }).get(gateway.address);
  const posted = async (to: string, body: unknown): Promise<Response> =>
    fetch(base + to, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  const tensor = (dtype: string, data: unknown): object => ({ [MARKER]: { dtype, data } });
  const refused: [to: string, body: unknown][] = [
    ['/v1/sessions', `{"${MARKER}`],
    ['/v1/sessions', { model: 'g2p', [MARKER]: 1 }],
    ['/v1/sessions', { model: 'g2p', prompt: `${MARKER}1!` }],
    ['/v1/sessions', { model: 'g2p', prompt: 'taxi', parameters: { [MARKER]: MARKER } }],
    ['/v1/sessions', { model: 'g2p', tensors: tensor('float32', [1]) }],
    ['/v1/sessions', { model: 'g2p', tensors: tensor(MARKER, [1]) }],
    ['/v1/sessions', { model: 'g2p', tensors: tensor('string', [MARKER]) }],
    ['/v1/sessions', { model: 'talk', prompt: 'taxi', parameters: { pace: MARKER } }],
    ['/v1/sessions/nobody/commands', { name: MARKER, arguments: { by: MARKER } }],
    ['/v1/completions', { model: 'g2p', prompt: MARKER, [MARKER]: MARKER }],
    [
      '/v2/models/g2p/infer',
      { inputs: [{ name: MARKER, datatype: 'BYTES', shape: [1], data: [MARKER] }] },
    ],
  ];
  let quoted = 0;
  for (const [to, body] of refused) {
    const answer = await posted(to, body);
    const text = await answer.text();
    expect(answer.status === 200 ? text : '"error"').toContain('"error"');
    if (text.includes(MARKER)) quoted += 1;
  }
  // Callers are told what was wrong with what they sent.
  expect(quoted).toBeGreaterThan(5);

  for (const routers of [{ routers: subnet.routerAddresses }, { hosters: [gateway.address] }]) {
    const options = { authorizer: subnet.authorizer('client') };
    const remote = new RemoteManager({ ...routers, ...options });
    const sessions = new SessionManager(remote, options);
    const session = sessions.session({ model: 'talk' });
    const ride = new Ride(session, { prompt: MARKER });
    const heard = new Promise<unknown>((resolve) =>
      session.on('message', ({ message }) => resolve(message)),
    );
    const ended = ride.read();
    expect(await heard).toBe(MARKER);
    for (const [name, args] of [
      ['add', { by: MARKER }],
      ['add', { [MARKER]: 1 }],
      [MARKER, {}],
      ['refuse', { secret: MARKER }],
    ] as const)
      await refusalOf(session.command(name, args));
    await session.cancelTurn();
    await ended;
    await sessions.close();
    await remote.close();
  }
  for (const { child } of [...subnet.routers, ...subnet.hosters, gateway]) {
    // It is the log at its most talkative that is looked at; its lines come through a pipe.
    await until(
      `debug lines of ${child.name}`,
      () => child.output.includes('"level":"debug"') || undefined,
    );
    const lines = child.output.split('\n');
    expect(lines.filter((line) => line.includes(MARKER))).toEqual([]);
  }
  for (const { child } of [...subnet.hosters, gateway])
    expect(child.output).toContain('call refused');
}, 120_000);
