/** A sequence of a language model, and the turn that runs in it. */
import type { LanguageModelProgram, Parameters } from '@cabstand/model';
import { invalid } from '@cabstand/core';
import type { ActiveTurn, Sequence } from '../../runtime/sequence';
import { unfit } from '../../snapshot/bytes';
import { fingerprintOf } from '../../snapshot/header';
import type { Occupant } from './cache/cohort';
import type { Left } from './cache/prefix-store';
import { Answer } from './choice/answer';
import { choiceSettings } from './choice/settings';
import type { Suppressed } from './choice/settings';
import type { Guide } from './guide/guide';
import { newTimes } from './figures';
import type { TurnTimes } from './figures';
import type { Held } from './held';
import type { TextStream } from './text-stream';
import type { SavedTokens } from './token-snapshot';

/** A turn whose prompt is not read yet. */
export interface ReadingTurn extends ActiveTurn {
  readonly state: 'reading';
}

export interface LanguageTurn extends ActiveTurn {
  readonly state: 'running';
  /** Those of the prompt, then those that were chosen. */
  readonly tokens: number[];
  /** How many of them are the prompt's. */
  readonly prompt: number;
  /** Most tokens to choose. */
  readonly maxTokens: number;
  /** Whether the caller said how many: there is memory for all of them when it begins, if so. */
  readonly isBounded: boolean;
  /** How many of the prompt's were not computed for this turn. */
  cached: number;
  /** Chooses tokens; those it chose are behind the prompt's in `tokens`. */
  readonly answer: Answer;
  /** It waits for what its grammar allows. */
  held: Held | undefined;
  readonly times: TurnTimes;
  /** Tells prompt and parameters from others. */
  readonly fingerprint: Buffer;
}

export interface LanguageSequence extends Sequence, Occupant {
  turn: ReadingTurn | LanguageTurn | undefined;
  resume: SavedTokens | undefined;
  /** Gives up the prompt that is read in a thread of its own. */
  reading: AbortController | undefined;
  /** Bytes of cache that its turn was admitted with; 0 while it has no row. */
  reserved: number;
  /** The first so many columns of its row were computed several at once. */
  prefilled: number;
  /** What its last turn left to begin with. */
  left: Left | undefined;
}

export interface TurnOptions {
  /** What the text must be of. Default: anything. */
  readonly guide?: Guide | undefined;
  /** What the model's files keep out of answers. Default: nothing. */
  readonly suppressed?: Suppressed;
  /** Tokens that the caller is told to have sent. Default: those of the prompt. */
  readonly promptTokens?: number;
}

export function readingTurn(number: number): ReadingTurn {
  return { state: 'reading', number, steps: 0, records: 0, taken: 0, cancelled: false };
}

/**
 * A turn at its beginning.
 *
 * @param prompt ids of tokens
 * @param text undefined: the model has no tokenizer
 * @throws CabstandError INPUT_MISSING, LIMIT_EXCEEDED or INPUT_TEXT: nothing was computed.
 */
export function newTurn(
  number: number,
  prompt: readonly number[],
  parameters: Parameters,
  program: LanguageModelProgram,
  text: TextStream | undefined,
  options: TurnOptions = {},
): LanguageTurn {
  const { guide, suppressed, promptTokens = prompt.length } = options;
  checkPrompt(prompt, program);
  const room = program.contextLength - prompt.length;
  const settings = choiceSettings(parameters, program, room, suppressed);
  const answer = new Answer(settings, prompt, text, guide);
  return {
    ...{ state: 'running', number, steps: 0, records: 0, taken: 0, cancelled: false },
    tokens: answer.tokens,
    prompt: prompt.length,
    maxTokens: settings.maxTokens,
    isBounded: settings.isBounded,
    cached: 0,
    answer,
    held: undefined,
    times: newTimes(),
    fingerprint: fingerprintOf({ parameters, prompt }),
    get generation() {
      const finish = answer.finish;
      return {
        ...(finish === undefined ? {} : { finish }),
        ...{ prompt: promptTokens, cached: this.cached, answer: answer.length },
      };
    },
  };
}

function checkPrompt(
  prompt: readonly number[],
  { contextLength, vocabularySize }: LanguageModelProgram,
): void {
  if (prompt.length === 0) throw invalid('INPUT_MISSING', 'prompt', '', 'at least one token');
  if (prompt.length >= contextLength)
    throw invalid(
      'LIMIT_EXCEEDED',
      'prompt',
      `${prompt.length} tokens`,
      `at most ${contextLength - 1}: the context holds ${contextLength} with the answer`,
    );
  // A graph takes negative ids for ids from the end, and answers something.
  const isOdd = (id: number): boolean => !(id >= 0 && id < vocabularySize);
  if (prompt.some(isOdd))
    throw invalid(
      'INPUT_TEXT',
      'prompt',
      prompt.find(isOdd),
      `ids of tokens, from 0 to ${vocabularySize - 1}`,
    );
}

/**
 * Moves a turn that was started anew to where it was: its tokens are all that is needed.
 *
 * @throws CabstandError CHECKPOINT_INVALID where it is not the turn that the snapshot was taken in.
 */
export function continueTurn(turn: LanguageTurn, saved: SavedTokens): void {
  const { prompt, chosen, fingerprint } = saved;
  // Its prompt was not read then: nothing is known of it.
  if (prompt === 0) return;
  if (prompt !== turn.prompt)
    throw unfit('turn', `of a prompt of ${prompt} tokens, not ${turn.prompt}`);
  if (!turn.fingerprint.equals(fingerprint))
    throw unfit('turn', 'prompt or parameters are not those that it began with');
  for (const id of chosen) turn.answer.again(id);
  turn.steps = chosen.length;
  turn.records = chosen.length;
}
