/** Completions and chat completions, whole or as they come. */
import { randomUUID } from 'node:crypto';
import type { Clock } from '@cabstand/core';
import type { Caller, Serving, TurnAsk } from '../serving';
import type { CompletionAsk } from './ask';
import { choice, turnsOf } from './choices';
import type { Finish, Piece } from './choices';
import {
  DONE,
  callChunk,
  eventOf,
  finishChunk,
  pieceChunk,
  roleChunk,
  usageChunk,
  wholeAnswer,
} from './shapes';
import type { Head, Whole } from './shapes';
import { AnswerParts } from './tools/said';
import type { Part } from './tools/said';

/** Where a stream of events goes. */
interface EventSink {
  /** Resolves when the reader has room for more. Rejects when it has gone. */
  write(text: string, signal: AbortSignal): Promise<void>;
}

export interface CompletionContext {
  readonly serving: Serving;
  readonly clock: Clock;
  readonly caller: Caller;
  readonly signal: AbortSignal;
  readonly out: EventSink;
}

/** Answers what is to be sent as JSON; undefined where events were sent. */
export async function complete(
  ask: CompletionAsk,
  context: CompletionContext,
): Promise<object | undefined> {
  const { serving, clock, caller, signal } = context;
  const model = await serving.model(ask.model, undefined, caller, signal);
  const turns = turnsOf(ask, model, caller);
  const head: Head = {
    kind: ask.kind,
    id: `${ask.kind === 'chat' ? 'chatcmpl' : 'cmpl'}-${randomUUID()}`,
    created: Math.floor(clock.now() / 1000),
    model: model.name,
    fingerprint: model.digest,
  };
  const prompts = ask.prompts.length;
  const parts = (): AnswerParts => new AnswerParts(ask.tools, model.toolCalls);
  if (!ask.stream) {
    const wholes = await together(turns, signal, (turn, _, ended) =>
      whole(choice(serving, turn, ended), parts()),
    );
    return wholeAnswer(head, wholes, prompts);
  }
  const finishes = await together(turns, signal, (turn, index, ended) =>
    passOn(head, index, choice(serving, turn, ended), parts(), (chunk) =>
      context.out.write(eventOf(chunk), ended),
    ),
  );
  if (ask.includeUsage)
    await context.out.write(eventOf(usageChunk(head, finishes, prompts)), signal);
  await context.out.write(DONE, signal);
  return undefined;
}

/** Runs all turns at once. Where one fails, the others are cancelled. */
async function together<T>(
  turns: readonly TurnAsk[],
  signal: AbortSignal,
  run: (turn: TurnAsk, index: number, ended: AbortSignal) => Promise<T>,
): Promise<T[]> {
  const failed = new AbortController();
  const ended = AbortSignal.any([signal, failed.signal]);
  const running = turns.map(async (turn, index) => {
    try {
      return await run(turn, index, ended);
    } catch (error) {
      failed.abort(error);
      throw error;
    }
  });
  try {
    return await Promise.all(running);
  } finally {
    // Their sessions are closed then.
    await Promise.allSettled(running);
  }
}

async function whole(
  answer: AsyncGenerator<Piece, Finish, undefined>,
  parts: AnswerParts,
): Promise<Whole> {
  const pieces: Piece[] = [];
  const said: Part[] = [];
  for (;;) {
    const next = await answer.next();
    if (next.done === true) {
      said.push(...parts.end());
      return { pieces, parts: said, finish: finishOf(next.value, parts) };
    }
    pieces.push(next.value);
    said.push(...parts.push(next.value.text));
  }
}

/** An answer that was cut is told to be, whatever it called before. */
function finishOf(finish: Finish, { called }: AnswerParts): Finish {
  return called && finish.reason === 'stop' ? { ...finish, reason: 'tool_calls' } : finish;
}

async function passOn(
  head: Head,
  index: number,
  answer: AsyncGenerator<Piece, Finish, undefined>,
  parts: AnswerParts,
  write: (chunk: object) => Promise<void>,
): Promise<Finish> {
  let characters = -1;
  const say = async (said: readonly Part[], piece?: Piece): Promise<void> => {
    // Log probabilities come with the first text that their token completes, or alone.
    let told = piece?.logprobs === undefined ? undefined : piece;
    const texts = said.flatMap((one) => ('text' in one ? [one.text] : []));
    if (told !== undefined && texts.length === 0) {
      await write(pieceChunk(head, index, '', told, characters));
      told = undefined;
    }
    for (const one of said) {
      if ('call' in one) await write(callChunk(head, index, one.call));
      else {
        await write(pieceChunk(head, index, one.text, told, characters));
        told = undefined;
      }
    }
    characters += piece?.text.length ?? 0;
  };
  try {
    for (;;) {
      const next = await answer.next();
      // Only now: what is refused has a status of its own.
      if (characters < 0 && head.kind === 'chat') await write(roleChunk(head, index));
      characters = Math.max(characters, 0);
      if (next.done === true) {
        await say(parts.end());
        const finish = finishOf(next.value, parts);
        await write(finishChunk(head, index, finish));
        return finish;
      }
      await say(parts.push(next.value.text), next.value);
    }
  } finally {
    // Left early: the turn is cancelled. After its end this does nothing.
    await answer.return(undefined as never);
  }
}
