/** How far a turn of a model with state is: what a snapshot within a turn holds, and going on from it. */
import { createHash } from 'node:crypto';
import type { BoundModel } from '../graphs/bound';
import { unfit } from '../snapshot/bytes';
import { FINGERPRINT } from '../snapshot/format';
import type { Progress } from '../snapshot/format';
import type { FrameCutter } from './frame-cutter';
import type { RecurrentTurn, StagePlan } from './turn';

export function progressOf(turn: RecurrentTurn, cutter: FrameCutter | undefined): Progress {
  const { number, records, steps, stage, item, token, tokens, partsUsed } = turn;
  const used = cutter?.used ?? {
    partsTaken: partsUsed,
    partUsed: 0,
    inputUsed: turn.inputUsed ? 1 : 0,
  };
  return {
    ...{ turn: number, records, steps, ...used, stage, items: turn.items.length, item },
    ...{ token, tokens, fingerprint: fingerprintOf(turn) },
  };
}

/** What can be told before the turn itself comes. */
export function checkProgress(
  model: BoundModel,
  plan: readonly StagePlan[],
  progress: Progress,
): void {
  const { stage, items, item, inputUsed, partUsed, records, steps, token, tokens } = progress;
  const { kind, framed, generation } = model.manifest;
  const isToken = token < vocabularySize(model) || token === (generation?.start ?? 0);
  const reading = plan[stage]?.run === 'per-item';
  const fits =
    stage < plan.length &&
    (reading ? item < items : item <= items) &&
    (framed.length > 0 || (partUsed === 0 && inputUsed <= 1)) &&
    (kind !== 'generator' || (inputUsed === 0 && tokens === records)) &&
    records === steps &&
    isToken;
  if (!fits)
    throw unfit(
      'turn',
      `stage ${stage}, item ${item} of ${items}, step ${steps} is nowhere in a turn`,
    );
}

function vocabularySize({ graphs }: BoundModel): number {
  const outputs = graphs.flatMap((graph) => graph.outputs);
  return (
    outputs.find(({ sinks }) => sinks.some(({ to }) => to === 'logits'))?.dims.at(-1) ?? Infinity
  );
}

/**
 * Moves a turn that was started anew to where it was.
 *
 * @throws CabstandError CHECKPOINT_INVALID where it is not the turn that the snapshot was taken in.
 */
export function continueTurn(turn: RecurrentTurn, progress: Progress, framed: boolean): void {
  const { items, item, tokens, inputUsed } = progress;
  if (items !== turn.items.length)
    throw unfit('turn', `of a prompt of ${items} items, not ${turn.items.length}`);
  if (tokens > 0 && tokens >= turn.maxTokens)
    throw unfit('turn', `${tokens} tokens of at most ${turn.maxTokens} are there already`);
  if (turn.stage > progress.stage)
    throw unfit('turn', `stage ${progress.stage}, which this turn does not have`);
  if (!fingerprintOf(turn).equals(progress.fingerprint))
    throw unfit('turn', 'the parameters are not those that it began with');
  // Framed input is passed over by the cutter.
  if (!framed && inputUsed > 0) {
    if (turn.sets.shift() === undefined)
      throw unfit('turn', 'the turn began with input that is missing now');
    turn.inputUsed = true;
  }
  turn.stage = progress.stage;
  turn.steps = progress.steps;
  turn.records = progress.records;
  turn.parts = progress.partsTaken;
  turn.taken = progress.partsTaken;
  turn.partsUsed = progress.partsTaken;
  turn.item = item;
  turn.token = progress.token;
  turn.tokens = tokens;
}

/** Tells one turn's parameters from another's; the seed is one of them. */
function fingerprintOf(turn: RecurrentTurn): Buffer {
  turn.fingerprint ??= createHash('sha256')
    .update(JSON.stringify(turn.parameters))
    .digest()
    .subarray(0, FINGERPRINT);
  return turn.fingerprint;
}
