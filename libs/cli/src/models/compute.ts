import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { RemoteManager, SessionManager } from '@cabstand/client';
import type { Session } from '@cabstand/client';
import type { GoldenTurn, Manifest } from '@cabstand/model';
import type { CliContext } from '../context';
import { writeConfigs } from '../subnet/configs';
import { Connection } from '../subnet/connection';
import { rpcOptions } from '../subnet/credentials';
import { addressOf, layout } from '../subnet/layout';
import { LocalSubnet } from '../subnet/local-subnet';
import { onOwnPorts } from '../subnet/subnet-ports';

/** A router's and a hoster's, and those of their metrics. */
const PORTS = 4;
const TIMEOUT_MS = 60_000;
const DRAIN_MS = 1000;
const STOP_MS = 5000;

export type Input = Omit<GoldenTurn, 'records'>;
type Records = GoldenTurn['records'];

/**
 * What a model answers to each turn of each session: asked of a hoster that serves it to nobody else,
 * and that has checked it against its golden data, or the graph alone and unoptimised, before.
 *
 * @throws what the hoster says, where it cannot serve the model or refuses the input.
 */
export function computeRecords(
  context: CliContext,
  manifest: Manifest,
  asked: readonly (readonly Input[])[],
): Promise<Records[][]> {
  return onOwnPorts(PORTS, (port) => computeAt(port, context, manifest, asked));
}

async function computeAt(
  port: number,
  { terminal, env }: CliContext,
  { name, folder, text: { output } }: Manifest,
  asked: readonly (readonly Input[])[],
): Promise<Records[][]> {
  const { signal } = terminal;
  const join = output?.join ?? '';
  const data = await mkdtemp(path.join(tmpdir(), 'cabstand-golden-'));
  const places = layout({ data, port, adminPort: port + 2, hosters: 1 });
  const routers = [addressOf(places.router)];
  const rpc = rpcOptions({ auth: { mode: 'none' }, tls: undefined, source: 'none' });
  const connection = new Connection({ routers, rpc, timeoutMs: TIMEOUT_MS, signal });
  const models = { repository: path.dirname(path.resolve(folder)), only: [name] };
  const subnet = new LocalSubnet({
    layout: places,
    configs: writeConfigs({ layout: places, models, auth: false, drainMs: DRAIN_MS, spares: 0 }),
    connection,
    env: Object.fromEntries(Object.entries(env).filter(([key]) => !key.startsWith('CABSTAND_'))),
    tell: () => undefined,
    progress: (text) => terminal.progress(text),
    signal,
  });
  try {
    await subnet.start();
    terminal.progress(`running ${name}`);
    await using remote = new RemoteManager({ routers, ...rpc });
    await using sessions = new SessionManager(remote);
    const answers: Records[][] = [];
    for (const turns of asked) {
      await using session = sessions.session({ model: name, signal });
      const records: Records[] = [];
      for (const turn of turns) records.push(await recordsOf(session, turn, join, signal));
      answers.push(records);
    }
    return answers;
  } finally {
    terminal.progress('');
    connection.close();
    await subnet.stop(STOP_MS);
    await rm(data, { recursive: true, force: true });
  }
}

async function recordsOf(
  session: Session,
  { prompt, inputs, parameters }: Input,
  join: string,
  signal: AbortSignal,
): Promise<Records> {
  const records: Records[number][] = [];
  for await (const { tensors, text } of session.runProtocolTask(
    prompt === '' ? undefined : prompt,
    inputs,
    { parameters, signal },
  ))
    records.push({ outputs: tensors, text: unjoined(text, records.length, join) });
  return records;
}

/** Callers get what joins a token to the one before; golden data have the token's own text. */
function unjoined(text: string, position: number, join: string): string {
  return position > 0 && text.startsWith(join) ? text.slice(join.length) : text;
}
