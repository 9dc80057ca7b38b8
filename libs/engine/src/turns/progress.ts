/** How far a turn of a model with state is: what a snapshot within a turn holds, and going on from it. */
import type { BoundModel } from '../graphs/bound';
import { unfit } from '../snapshot/bytes';
import { fingerprintOf } from '../snapshot/header';
import type { Progress } from '../snapshot/progress';
import type { SourceUse } from './input-source';
import type { StagePlan } from './plan';
import type { RecurrentTurn } from './turn';

export function progressOf(turn: RecurrentTurn, use: SourceUse): Progress {
  const { number, records, steps, stage, item, token, tokens } = turn;
  return {
    ...{ turn: number, records, steps, ...use, stage, items: turn.items.length, item },
    ...{ token, tokens, fingerprint: turnFingerprint(turn) },
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
 * Moves a turn that was started anew to where it was; its input is the source's matter.
 *
 * @throws CabstandError CHECKPOINT_INVALID where it is not the turn that the snapshot was taken in.
 */
export function continueTurn(turn: RecurrentTurn, progress: Progress): void {
  const { tokens } = progress;
  if (tokens > 0 && tokens >= turn.maxTokens)
    throw unfit('turn', `${tokens} tokens of at most ${turn.maxTokens} are there already`);
  if (!turnFingerprint(turn).equals(progress.fingerprint))
    throw unfit('turn', 'the parameters are not those that it began with');
  turn.stage = progress.stage;
  turn.steps = progress.steps;
  turn.records = progress.records;
  turn.parts = progress.partsTaken;
  turn.taken = progress.partsTaken;
  turn.item = progress.item;
  turn.token = progress.token;
  turn.tokens = tokens;
}

function turnFingerprint(turn: RecurrentTurn): Buffer {
  turn.fingerprint ??= fingerprintOf(turn.parameters);
  return turn.fingerprint;
}
