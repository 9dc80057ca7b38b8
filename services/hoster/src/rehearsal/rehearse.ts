/**
 * Sessions are moved from this process to itself before it serves anybody. Otherwise the first session
 * that comes here from a hoster that died would wait, in the middle of its stream, for code that has
 * never run to be compiled; and a hoster where sessions cannot go on would be found out only then.
 */
import { NO_AUDIT } from '@cabstand/service';
import { CabstandError, linkSignals, systemClock } from '@cabstand/core';
import { ticketVerifier } from '@cabstand/auth';
import type { Sealer } from '@cabstand/auth';
import { exampleTurns, readGolden } from '@cabstand/model';
import type { GoldenTurn } from '@cabstand/model';
import type { RpcClient } from '@cabstand/rpc';
import { toWire } from '@cabstand/tensor';
import type { ServedModel } from '@cabstand/sessions';
import type { ModelHost } from '../models/model-host';
import type { EngineLog } from '../engines/observer';
import { Sessions } from '@cabstand/sessions';
import { moveSession } from './moved-session';
import type { RehearsedTurn } from './moved-session';
import { withPrivateServer } from './private-server';

/** After so many, another one makes those to come hardly faster. */
const ROUNDS = 4;
/** For all rounds of a model; those that are too slow for it have rehearsed as far as they came. */
const LONGEST_MS = 1000;

export interface RehearsalInit {
  readonly host: ModelHost;
  readonly sealer: Sealer;
  /** Largest message of the hoster. */
  readonly messageBytes: number;
  readonly log: EngineLog;
  readonly signal: AbortSignal;
}

/** Rehearses with each model that is ready. Never throws: what goes wrong is logged. */
export async function rehearse({
  host,
  sealer,
  messageBytes,
  log,
  signal,
}: RehearsalInit): Promise<void> {
  const options = { messageBytes };
  const sessions = new Sessions({ host, clock: systemClock, sealer, options });
  const context = {
    sessions,
    host,
    audit: NO_AUDIT,
    identity: { nodeId: 'rehearsal', incarnation: '', version: '' },
    tickets: ticketVerifier(),
    leaseConsumed: () => undefined,
    limits: { maxMessageBytes: messageBytes },
    unloadDeadlineMs: 0,
  };
  const began = performance.now();
  try {
    await withPrivateServer(context, async (client) => {
      for (const model of host.models()) {
        if (model.status.state !== 'ready') continue;
        // What the code of a module does, outside too, is not for rehearsals.
        if (model.signature.sessions !== undefined) continue;
        await rehearseModel(client, model, signal, log);
      }
    });
    log.info({ ms: Math.round(performance.now() - began) }, 'moves of sessions were rehearsed');
  } catch (thrown) {
    log.warn({ err: thrown }, 'moves of sessions could not be rehearsed');
  } finally {
    // A session whose time was up goes on at its engine until it is stopped.
    await sessions.stop(0);
    // Routers compare hosters by their steps; first ones are slow.
    for (const model of host.models()) model.forgetSteps();
  }
}

async function rehearseModel(
  client: RpcClient,
  model: ServedModel,
  stopping: AbortSignal,
  log: EngineLog,
): Promise<void> {
  using limit = linkSignals([stopping], { ms: LONGEST_MS, what: 'rehearsing', clock: systemClock });
  try {
    const rehearsed = await turnOf(model);
    if (rehearsed === undefined) return;
    // What is made up may be no input that the model can do anything with.
    const alone = async (): Promise<number | undefined> =>
      await moveSession(client, rehearsed.turn, limit.signal).catch(() => undefined);
    const chunks = rehearsed.chunks ?? (await alone());
    if (chunks === undefined) return;
    for (let round = 0; round < ROUNDS; round++) {
      const got = await moveSession(client, rehearsed.turn, limit.signal);
      if (got !== chunks)
        throw new CabstandError('INTERNAL', `a turn had ${got} records, expected ${chunks}`);
    }
  } catch (thrown) {
    if (limit.signal.aborted) return;
    log.warn(
      { model: model.name, version: model.version, err: thrown },
      'a session that was moved did not go on: those that come from elsewhere may not either',
    );
  }
}

/** What a caller would send. */
type GivenTurn = Omit<GoldenTurn, 'records'>;

interface Rehearsed {
  readonly turn: RehearsedTurn;
  /** Records that it has; undefined where the turn is made up. */
  readonly chunks: number | undefined;
}

/** The shortest golden turn, or one that is made up. Undefined where no input can be made. */
async function turnOf({
  name,
  signature,
  golden: file,
}: ServedModel): Promise<Rehearsed | undefined> {
  const golden = await shortestGolden(file);
  const [example] = golden === undefined ? exampleTurns(signature, { count: 1 }) : [];
  const chosen: GivenTurn | undefined = golden?.turn ?? example;
  if (chosen === undefined) return undefined;
  const { prompt, parameters, inputs } = chosen;
  const tensors = inputs.map((tensor) => toWire(tensor));
  const live = signature.takesLiveInput && inputs.length > 0;
  const input = { prompt, inputs: live ? [] : tensors, parameters: JSON.stringify(parameters) };
  const turn = { model: name, input, live: live ? tensors : undefined };
  return { turn, chunks: golden?.chunks };
}

/** First turns only: others need those before them. */
async function shortestGolden(
  file: string | undefined,
): Promise<{ turn: GivenTurn; chunks: number } | undefined> {
  if (file === undefined) return undefined;
  const turns = (await readGolden(file)).flatMap((sequence) => sequence.turns.slice(0, 1));
  const [first] = turns.sort((a, b) => a.records.length - b.records.length);
  if (first === undefined) return undefined;
  const { prompt, parameters, inputs, records } = first;
  return { turn: { prompt, parameters, inputs }, chunks: records.length };
}
