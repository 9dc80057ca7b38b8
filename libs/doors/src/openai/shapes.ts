/** Answers in the words of OpenAI. */
import type { CompletionAsk } from './ask';
import type { Finish, Piece, PieceLogprobs } from './choices';
import type { Part, ToolCall } from './tools/said';

export interface Head {
  readonly kind: CompletionAsk['kind'];
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
  /** Which weights answered. */
  readonly fingerprint: string;
}

/** A whole answer. */
export interface Whole {
  readonly pieces: readonly Piece[];
  /** Their texts, with the calls in them told apart. */
  readonly parts: readonly Part[];
  readonly finish: Finish;
}

const OBJECTS = {
  chat: { whole: 'chat.completion', part: 'chat.completion.chunk' },
  text: { whole: 'text_completion', part: 'text_completion' },
} as const;

/** @param prompts how many prompts there were, each answered by as many choices */
export function wholeAnswer(head: Head, choices: readonly Whole[], prompts: number): object {
  const finishes = choices.map(({ finish }) => finish);
  return {
    ...envelope(head, 'whole'),
    choices: choices.map(({ pieces, parts, finish: { reason } }, index) => {
      const text = parts.map((one) => ('text' in one ? one.text : '')).join('');
      const calls = parts.flatMap((one) => ('call' in one ? [callJson(one.call)] : []));
      const logprobs = logprobsJson(head.kind, pieces, 0);
      return head.kind === 'text'
        ? { index, text, logprobs, finish_reason: reason }
        : {
            index,
            message: {
              ...{ role: 'assistant', content: calls.length > 0 && text === '' ? null : text },
              ...{ refusal: null, ...(calls.length > 0 ? { tool_calls: calls } : {}) },
            },
            ...{ logprobs, finish_reason: reason },
          };
    }),
    usage: usageJson(finishes, prompts),
  };
}

/** The beginning of one answer in a stream. */
export function roleChunk(head: Head, index: number): object {
  return part(head, index, { role: 'assistant', content: '' }, null, null);
}

/**
 * @param piece whose log probabilities are told
 * @param offset characters of the answer before this piece
 */
export function pieceChunk(
  head: Head,
  index: number,
  content: string,
  piece: Piece | undefined,
  offset: number,
): object {
  const logprobs = logprobsJson(head.kind, piece === undefined ? [] : [piece], offset);
  return part(head, index, { content }, logprobs, null);
}

/** A call, whole. */
export function callChunk(head: Head, index: number, call: ToolCall): object {
  const calls = [{ index: call.index, ...callJson(call) }];
  return part(head, index, { content: '', tool_calls: calls }, null, null);
}

function callJson({ id, name, arguments: written }: ToolCall): object {
  return { id, type: 'function', function: { name, arguments: written } };
}

export function finishChunk(head: Head, index: number, { reason }: Finish): object {
  return part(head, index, { content: '' }, null, reason);
}

export function usageChunk(head: Head, finishes: readonly Finish[], prompts: number): object {
  return { ...envelope(head, 'part'), choices: [], usage: usageJson(finishes, prompts) };
}

export const eventOf = (chunk: object): string => `data: ${JSON.stringify(chunk)}\n\n`;
export const DONE = 'data: [DONE]\n\n';

function envelope({ kind, id, created, model, fingerprint }: Head, how: 'whole' | 'part') {
  return { id, object: OBJECTS[kind][how], created, model, system_fingerprint: fingerprint };
}

function part(
  head: Head,
  index: number,
  delta: { readonly role?: string; readonly content: string; readonly tool_calls?: object[] },
  logprobs: object | null,
  finish_reason: Finish['reason'] | null,
): object {
  // The last one says nothing more.
  const { tool_calls } = delta;
  const told = finish_reason === null ? (tool_calls === undefined ? delta : { tool_calls }) : {};
  const said = head.kind === 'chat' ? { delta: told } : { text: delta.content };
  return { ...envelope(head, 'part'), choices: [{ index, ...said, logprobs, finish_reason }] };
}

/** Null where the model does not tell how many tokens a prompt has. */
function usageJson(finishes: readonly Finish[], prompts: number): object | null {
  let asked = 0;
  let answered = 0;
  for (const [index, { promptTokens, answerTokens }] of finishes.entries()) {
    if (promptTokens === undefined) return null;
    // All answers to a prompt have the same one.
    if (index % (finishes.length / prompts) === 0) asked += promptTokens;
    answered += answerTokens;
  }
  return {
    ...{ prompt_tokens: asked, completion_tokens: answered, total_tokens: asked + answered },
  };
}

function logprobsJson(kind: Head['kind'], pieces: readonly Piece[], offset: number): object | null {
  const told = pieces.filter((piece): piece is Told => piece.logprobs !== undefined);
  if (told.length === 0) return null;
  if (kind === 'chat') return { content: told.map(chatLogprob), refusal: null };
  let at = offset;
  return {
    tokens: told.map(({ text }) => text),
    token_logprobs: told.map(({ logprobs }) => logprobs.chosen),
    top_logprobs: told.map(({ logprobs: { top } }) =>
      Object.fromEntries(top.map(({ token, logprob }) => [nameOf(token), logprob])),
    ),
    text_offset: told.map(({ text }) => {
      const begins = at;
      at += text.length;
      return begins;
    }),
  };
}

type Told = Piece & { readonly logprobs: PieceLogprobs };

function chatLogprob({ text, logprobs: { chosen, top } }: Told): object {
  return {
    ...{ token: text, logprob: chosen, bytes: [...Buffer.from(text)] },
    top_logprobs: top.map(({ token, logprob }) => ({ token: nameOf(token), logprob, bytes: null })),
  };
}

/** Tokens that were not chosen have no text here: many have none alone. */
const nameOf = (token: number): string => `token_id:${token}`;
