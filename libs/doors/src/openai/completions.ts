/** Completions and chat completions, whole or as they come. */
import { randomUUID } from 'node:crypto';
import type { Clock } from '@cabstand/core';
import type { Caller, Serving, TurnAsk } from '../serving';
import type { CompletionAsk } from './ask';
import { choice, turnsOf } from './choices';
import type { Finish, Piece } from './choices';
import {
  DONE,
  eventOf,
  finishChunk,
  pieceChunk,
  roleChunk,
  usageChunk,
  wholeAnswer,
} from './shapes';
import type { Head, Whole } from './shapes';

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
  if (!ask.stream) {
    const wholes = await together(turns, signal, (turn, _, ended) =>
      whole(choice(serving, turn, ended)),
    );
    return wholeAnswer(head, wholes, prompts);
  }
  const finishes = await together(turns, signal, (turn, index, ended) =>
    passOn(head, index, choice(serving, turn, ended), (chunk) =>
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

async function whole(answer: AsyncGenerator<Piece, Finish, undefined>): Promise<Whole> {
  const pieces: Piece[] = [];
  for (;;) {
    const next = await answer.next();
    if (next.done === true) return { pieces, finish: next.value };
    pieces.push(next.value);
  }
}

async function passOn(
  head: Head,
  index: number,
  answer: AsyncGenerator<Piece, Finish, undefined>,
  write: (chunk: object) => Promise<void>,
): Promise<Finish> {
  let characters = -1;
  try {
    for (;;) {
      const next = await answer.next();
      // Only now: what is refused has a status of its own.
      if (characters < 0 && head.kind === 'chat') await write(roleChunk(head, index));
      characters = Math.max(characters, 0);
      if (next.done === true) {
        await write(finishChunk(head, index, next.value));
        return next.value;
      }
      const { text, logprobs } = next.value;
      if (text === '' && logprobs === undefined) continue;
      await write(pieceChunk(head, index, next.value, characters));
      characters += text.length;
    }
  } finally {
    // Left early: the turn is cancelled. After its end this does nothing.
    await answer.return(undefined as never);
  }
}
