import { HosterService } from '@cabstand/rpc';
import type { Outcome, Target } from './call';
import { bytes } from './generate';
import { TURN_MODELS, inputOf, partOf } from './models';
import type { TurnModel } from './models';
import type { Teller } from './teller';
import type { Fields } from './wire';

const HOSTERS: readonly Target[] = ['hoster-0', 'hoster-1'];
const OWNER_BYTES = 16;

/** What a caller remembers of its session. */
interface Kept {
  readonly model: TurnModel;
  readonly owner: Buffer;
  target: Target;
  counter: number;
  /** The next position expected. */
  position: number;
  turn: number;
  checkpoint: Fields | undefined;
  /** What the turns before brought, as a resume without a checkpoint gives it again. */
  readonly replay: Fields[];
}

interface Reply {
  readonly record?: {
    readonly position: unknown;
    readonly end_of_turn?: { readonly checkpoint?: Sealed | null } | null;
  } | null;
  readonly notice?: { readonly checkpoint?: { readonly checkpoint?: Sealed | null } | null } | null;
}

interface Sealed {
  readonly position: unknown;
  readonly sealed: Buffer | Uint8Array | string;
}

/** One turn of an unnamed session that ends with its call. */
export async function plainTurn(teller: Teller): Promise<void> {
  const { random } = teller;
  const model = random.pick(TURN_MODELS);
  teller.validTurns += 1;
  const request = { model, ...inputOf(random, model), priority: random.int(0, 3) };
  await teller.call('rpc_inference_stream', [request], { target: random.pick(HOSTERS) });
}

/** A named session over several turns: acknowledged, attached to, resumed here and elsewhere, closed. */
export async function namedSession(teller: Teller): Promise<void> {
  const { random } = teller;
  const durable = random.int(0, 2) > 0;
  const model = random.pick(TURN_MODELS);
  const kept: Kept = {
    ...{ model, owner: bytes(random, OWNER_BYTES), target: random.pick(HOSTERS) },
    ...{ counter: 1, position: 0, turn: 0, checkpoint: undefined, replay: [] },
  };
  const used = new Set<Target>();
  for (const turns = random.int(1, 4); kept.turn < turns; kept.turn++) {
    used.add(kept.target);
    const input = inputOf(random, model);
    const request: Fields = {
      ...{ session_id: teller.id, epoch: epochOf(kept), durable, keep_session: !durable },
      ...{ turn: kept.turn, model: kept.turn === 0 ? model : undefined },
      ...{ from_position: durable ? kept.position : undefined },
      ...input,
    };
    const begun = kept.position;
    // Sometimes with a mistake, or broken off: the valid call that follows finds what that left.
    if (random.int(0, 3) === 0) learn(kept, await inference(teller, request, kept, { mutated: 1 }));
    else if (durable && random.int(0, 5) === 0)
      learn(kept, await inference(teller, request, kept, { ending: 'cancel' }));
    teller.validTurns += 1;
    const from = durable ? { from_position: kept.position } : {};
    learn(kept, await inference(teller, { ...request, ...from }, kept));
    if (durable) await between(teller, request, kept, begun);
    kept.replay.push({ turn: kept.turn, position: begun, input });
  }
  for (const target of used)
    await teller.call(
      'rpc_close_session',
      [{ session_id: teller.id, epoch: epochOf({ ...kept, counter: kept.counter + 1 }) }],
      { target },
    );
}

function inference(
  teller: Teller,
  request: Fields,
  { target }: Kept,
  manner: { readonly mutated?: number; readonly ending?: 'cancel' } = {},
): Promise<Outcome> {
  return teller.call('rpc_inference_stream', [request], { target, ...manner });
}

/** What callers do behind a turn of a durable session. */
async function between(teller: Teller, request: Fields, kept: Kept, begun: number): Promise<void> {
  const { random } = teller;
  const common = { session_id: teller.id, epoch: epochOf(kept) };
  const manner = { target: kept.target, mutated: random.int(0, 4) === 0 ? 1 : 0 };
  switch (random.weighted({ ack: 4, attach: 2, resume: 3, ask: 2, handover: 1, nothing: 3 })) {
    case 'ack':
      await teller.call(
        'rpc_session_update',
        [{ ...common, ack: { position: kept.position - 1 } }],
        manner,
      );
      return;
    case 'attach': {
      // The same turn again: its records are sent again, none is computed twice.
      const from_position = random.int(begun, kept.position);
      learn(kept, await inference(teller, { ...request, from_position }, kept));
      return;
    }
    case 'resume': {
      // As after a failure that was none, or at the other hoster, with all or a part of what was delivered.
      if (random.int(0, 1) === 0) kept.target = random.pick(HOSTERS);
      kept.counter += 1;
      const all = random.int(0, 1) === 0;
      const delivered_position = all ? kept.position - 1 : random.int(-1, kept.position - 1);
      const checkpoint = random.int(0, 1) === 0 ? kept.checkpoint : undefined;
      const replay = checkpoint === undefined ? kept.replay : [];
      const resume = { checkpoint, replay, delivered_position, turn: kept.turn };
      const again = {
        ...request,
        model: kept.model,
        epoch: epochOf(kept),
        from_position: undefined,
      };
      learn(kept, await inference(teller, { ...again, resume }, kept));
      return;
    }
    case 'ask':
      await teller.call('rpc_session_status', [{ session_id: teller.id }], manner);
      await teller.call('rpc_share_session', [{ session_id: teller.id, ttl_ms: 1000 }], manner);
      await teller.call('rpc_locate', [{ session_id: teller.id }], { ...manner, target: 'router' });
      return;
    case 'handover':
      await teller.call('rpc_session_update', [{ ...common, handover: {} }], manner);
      return;
    case 'nothing':
  }
}

/** A whole session on one stream, with live input or without; its caller may go at any time. */
export async function streamedSession(teller: Teller, mutated: number): Promise<void> {
  const { random } = teller;
  const model = random.pick(TURN_MODELS);
  const target = random.pick(HOSTERS);
  const epoch = { counter: 1, owner: bytes(random, OWNER_BYTES) };
  const named = random.int(0, 1) === 0;
  const identity: Fields = named ? { session_id: teller.id, epoch } : {};
  const durable = named && random.int(0, 1) === 0;
  const messages: Fields[] = [{ open: { ...identity, durable, model } }];
  for (let turn = 0, turns = random.int(1, 3); turn < turns; turn++) {
    const live = model !== 'g2p' && random.int(0, 1) === 0;
    messages.push({ turn: live ? { turn, live } : { turn, input: inputOf(random, model) } });
    const parts = live ? random.int(1, 6) : 0;
    for (let part = 0; part < parts && model !== 'g2p'; part++) {
      const last = part === parts - 1;
      messages.push({ input: { turn, part, last, inputs: [partOf(random, model)] } });
    }
    if (mutated === 0) teller.validTurns += 1;
    else
      messages.push(
        ...random.pick([
          [],
          [{ cancel_turn: { turn } }],
          [{ ack: { position: random.int(0, 9) } }],
        ]),
      );
  }
  if (random.int(0, 2) === 0) messages.push({ close: {} });
  const ending = random.weighted({
    end: 4,
    cancel: mutated > 0 ? 2 : 0,
    none: mutated > 0 ? 1 : 0,
  });
  await teller.call('rpc_session_stream', messages, {
    ...{ target, mutated, ending, turnByTurn: mutated === 0 },
  });
  // Only a durable one outlives its stream.
  if (durable || mutated > 0)
    await teller.call('rpc_close_session', [{ session_id: teller.id, epoch }], { target });
}

function epochOf({ counter, owner }: Pick<Kept, 'counter' | 'owner'>): Fields {
  return { counter, owner };
}

/** Takes in what came. */
function learn(kept: Kept, { replies }: Outcome): void {
  for (const bytes of replies) {
    const { record, notice }: Reply = HosterService.rpc_inference_stream.response.decode(bytes);
    if (record) kept.position = Math.max(kept.position, Number(record.position) + 1);
    const sealed = record?.end_of_turn?.checkpoint ?? notice?.checkpoint?.checkpoint;
    if (sealed)
      kept.checkpoint = {
        position: Number(sealed.position),
        sealed: Buffer.from(sealed.sealed),
      };
  }
}
