/** A reference for models without golden data: the same graphs alone, unoptimised, on the CPU. */
import { InferenceSession } from 'onnxruntime-node';
import { CabstandError } from '@cabstand/core';
import { KINDS } from '@cabstand/model';
import type { GoldenSequence, Manifest } from '@cabstand/model';
import { BindingSession } from '../graphs/binding-session';
import type { BoundModel } from '../graphs/bound';
import type { GraphSession } from '../graphs/graph-session';
import { createStepper } from '../kinds/create';
import type { Stepper } from '../runtime/sequence';
import { asReference, compareSequences, playTogether } from './golden';
import type { TurnPlan } from './harness';
import { WatchedSessions } from './watched';

export interface OwnReference {
  readonly kind: 'self' | 'none';
  /** Of `none`: why. */
  readonly note: string;
  /** What valid input gives; of `none`, with no input that works, empty. */
  readonly sequences: readonly GoldenSequence[];
  /** Twice the same input gave twice the same. */
  readonly steady: boolean;
}

/** Inputs that are enough, and seconds after which no more are tried. */
const ENOUGH_TURNS = 6;
const LONGEST_SECONDS = 10;
const TURNS = 2;
/** Of a generator, where nothing says how many. */
const MOST_TOKENS = 16;

export interface ReferenceOptions {
  /** Inputs that may be valid, the most plausible first. */
  readonly examples: readonly TurnPlan[];
  readonly threads: number;
  /** Largest message between hosters and clients. */
  readonly messageBytes: number;
  readonly progress: (stage: string) => void;
}

export async function makeReference(
  model: BoundModel,
  { examples, threads, messageBytes, progress }: ReferenceOptions,
): Promise<OwnReference> {
  const { manifest } = model;
  progress('verifying: making a reference of its own');
  const sessions = await plainSessions(manifest, threads);
  try {
    const watched = new WatchedSessions(sessions);
    const stepper = createStepper(model, watched.sessions, 1, messageBytes);
    return await recordReference(manifest, stepper, examples);
  } finally {
    for (const session of sessions) await session.release();
  }
}

async function recordReference(
  manifest: Manifest,
  stepper: Stepper,
  examples: readonly TurnPlan[],
): Promise<OwnReference> {
  const { turns, refusal } = await validTurns(manifest, stepper, examples);
  if (turns.length === 0) {
    const said = refusal === '' ? '' : ` (${refusal})`;
    const note = `no valid input could be made${said}: give golden data or examples`;
    return { kind: 'none', note, sequences: [], steady: true };
  }
  const plans = sequencesOf(manifest, turns);
  const first = asReference(manifest, plans, await playTogether(stepper, plans));
  const again = await playTogether(stepper, plans);
  const { equal, where, got, expected } = compareSequences(manifest, again, first, EXACT);
  if (equal) return { kind: 'self', note: '', sequences: first, steady: true };
  const note = `the model answers the same input differently: ${where}: ${got}, before ${expected}`;
  return { kind: 'none', note, sequences: first, steady: false };
}

const EXACT = { atol: 0, rtol: 0 };

/** Those that the model takes. */
async function validTurns(
  manifest: Manifest,
  stepper: Stepper,
  examples: readonly TurnPlan[],
): Promise<{ turns: TurnPlan[]; refusal: string }> {
  const begun = performance.now();
  const turns: TurnPlan[] = [];
  let refusal = '';
  for (const example of examples) {
    if (turns.length >= ENOUGH_TURNS) break;
    if (turns.length > 0 && performance.now() - begun > LONGEST_SECONDS * 1000) break;
    const turn = shortened(manifest, example);
    const [played] = (await playTogether(stepper, [[turn]])).flat();
    if (played?.end?.reason !== 'error') turns.push(turn);
    else if (refusal === '') refusal = played.end.error.message;
  }
  return { turns, refusal };
}

/** At least two sequences, of two turns each where the model keeps state. */
function sequencesOf({ kind }: Manifest, turns: readonly TurnPlan[]): TurnPlan[][] {
  if (KINDS[kind].oneGraph) return turns.map((turn) => [turn]);
  const count = Math.max(2, Math.floor(turns.length / TURNS));
  return Array.from({ length: count }, (_, sequence) =>
    Array.from(
      { length: TURNS },
      (__, number) => turns[(sequence * TURNS + number) % turns.length] as TurnPlan,
    ),
  );
}

function shortened({ kind, generation }: Manifest, example: TurnPlan): TurnPlan {
  if (!KINDS[kind].generates) return example;
  const most = Math.min(generation?.maxTokens ?? MOST_TOKENS, MOST_TOKENS);
  return { ...example, parameters: { max_tokens: most, ...example.parameters } };
}

async function plainSessions(manifest: Manifest, threads: number): Promise<GraphSession[]> {
  const sessions: GraphSession[] = [];
  for (const { file } of manifest.graphs)
    try {
      sessions.push(
        new BindingSession(
          await InferenceSession.create(file, {
            executionProviders: ['cpu'],
            graphOptimizationLevel: 'disabled',
            intraOpNumThreads: threads,
            interOpNumThreads: 1,
            executionMode: 'sequential',
            logSeverityLevel: 3,
          }),
        ),
      );
    } catch (cause) {
      for (const session of sessions) await session.release();
      const { message } = CabstandError.from(cause);
      throw new CabstandError('MODEL_FAILED', `${file}: unoptimised: ${message}`, { cause });
    }
  return sessions;
}
