/** What is asked under which path, as OpenAI has it. */
import type { CompletionContext } from './completions';
import { complete } from './completions';
import { parseChat, parseCompletion } from './ask';
import { embeddings, parseEmbeddings } from './embeddings';

interface OpenAiContext extends CompletionContext {
  /** Parsed; throws INVALID_ARGUMENT, MESSAGE_TOO_LARGE. */
  readonly body: () => Promise<unknown>;
}

/** Answers what is to be sent as JSON; undefined where events were sent. */
export type OpenAiCall = (context: OpenAiContext) => Promise<object | undefined>;

/** POST of these paths. */
export const OPENAI_CALLS: ReadonlyMap<string, OpenAiCall> = new Map<string, OpenAiCall>([
  [
    '/v1/completions',
    async (context) => await complete(parseCompletion(await context.body()), context),
  ],
  [
    '/v1/chat/completions',
    async (context) => {
      const now = Math.floor(context.clock.now() / 1000);
      return await complete(parseChat(await context.body(), now), context);
    },
  ],
  [
    '/v1/embeddings',
    async (context) => await embeddings(parseEmbeddings(await context.body()), context),
  ],
]);
