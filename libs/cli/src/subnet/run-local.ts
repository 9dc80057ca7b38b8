import type { CliContext } from '../context';
import { ExitCode } from '../errors';
import { writeConfigs } from './configs';
import type { ServedModels } from './configs';
import { Connection } from './connection';
import { findCredentials, rpcOptions } from './credentials';
import { addressOf } from './layout';
import type { SubnetLayout } from './layout';
import { makeLocalKeys } from './local-keys';
import { LocalSubnet } from './local-subnet';
import { keepToken } from './local-token';
import { tell } from './tell';

/** A local subnet that is to run until Ctrl-C. */
export interface LocalRun {
  readonly places: SubnetLayout;
  readonly models: ServedModels;
  readonly auth: boolean;
  /** How long running sessions may take at the end. */
  readonly drainMs: number;
  /** Engine processes kept ready without a model; default: as hosters have it. */
  readonly spares?: number;
  /** What hosters say of models, as the user knows their files; default: as they say it. */
  readonly named?: (message: string) => string;
  /** Called when it serves. What it throws ends the subnet. */
  readonly whenUp: (
    connection: Connection,
    rpc: ReturnType<typeof rpcOptions>,
  ) => Promise<void> | void;
}

const CALL_TIMEOUT_MS = 5000;
/** Beyond what services allow themselves, before they are killed. */
const GRACE_MS = 5000;
const LONG_MS = 2 ** 30;

/** Makes keys where there are none, starts the subnet, stays until Ctrl-C, and drains. */
export async function runLocal(context: CliContext, run: LocalRun): Promise<void> {
  const { terminal, env } = context;
  const { places, models, auth, drainMs, spares } = run;
  await makeKeys(context, places, auth);
  const token = auth ? await keepToken(places, (what) => tell(context, 'keys', what)) : undefined;
  const rpc = rpcOptions(
    auth
      ? findCredentials({ credentials: places.keys }, {}, 'client')
      : { auth: { mode: 'none' }, tls: undefined, source: 'none' },
  );
  const connection = new Connection({
    routers: [addressOf(places.router)],
    rpc,
    timeoutMs: CALL_TIMEOUT_MS,
    signal: terminal.signal,
  });
  const subnet = new LocalSubnet({
    layout: places,
    configs: writeConfigs({ layout: places, models, auth, drainMs, spares }),
    connection,
    // What is set for calling a subnet is not meant for its services.
    env: Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('CABSTAND_'))),
    tell: (name, what) => {
      terminal.progress('');
      tell(context, name, what);
    },
    progress: (text) => terminal.progress(text),
    named: run.named ?? ((message) => message),
    signal: terminal.signal,
  });
  try {
    await subnet.start();
    await run.whenUp(connection, rpc);
    await untilAborted(terminal.signal);
    await terminal.out('\n');
  } finally {
    token?.cancel();
    connection.close();
    await stop(context, subnet, drainMs);
  }
}

async function makeKeys(context: CliContext, places: SubnetLayout, auth: boolean): Promise<void> {
  const { style } = context.terminal;
  if (!auth) {
    tell(context, 'keys', style.yellow('none: every process of this machine may call'));
    return;
  }
  const keys = await makeLocalKeys(places);
  tell(context, 'keys', `${keys.kind === 'new' ? 'made' : 'those'} in ${places.keys}`);
  if (keys.kind === 'there' && keys.added.length > 0)
    tell(context, 'keys', `made for ${keys.added.join(', ')}, too: each hoster has its own`);
}

async function stop(context: CliContext, subnet: LocalSubnet, drainMs: number): Promise<void> {
  tell(context, 'stop', 'draining and stopping; Ctrl-C again stops at once');
  if (await subnet.stop(drainMs + GRACE_MS)) tell(context, 'stop', 'everything has stopped');
  else {
    tell(context, 'stop', 'some had to be killed; see the logs');
    context.exit(ExitCode.FAILURE);
  }
}

/** Holds the process until then: nothing else may. */
function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const awake = setInterval(() => undefined, LONG_MS);
    const done = (): void => {
      clearInterval(awake);
      resolve();
    };
    if (signal.aborted) done();
    else signal.addEventListener('abort', done, { once: true });
  });
}
