/** Entry of the thread that finds the tokens of long prompts and of conversations. */
import '../../no-telemetry';
import { workerData } from 'node:worker_threads';
import { invalid } from '@cabstand/core';
import { answerQuestions } from './answer-thread';
import { parseConversation } from './chat/conversation';
import { ChatRenderer } from './chat/renderer';
import { checkLength } from './prompt-reader';
import type { Prompt, PromptFiles } from './prompt-reader';
import { TextCodec } from './tokenizer';

const { tokenizer, chat, contextLength } = workerData as PromptFiles;
const codec = TextCodec.load(tokenizer);
const renderer = codec.then(({ special }) => chat && new ChatRenderer(chat, special));
// Whoever asks is told.
renderer.catch(() => undefined);

async function idsOf({ kind, text }: Prompt): Promise<readonly number[]> {
  const reader = await codec;
  if (kind === 'prompt') return reader.encode(text);
  const rendering = await renderer;
  if (rendering === undefined)
    throw invalid('INPUT_UNKNOWN', 'messages', text, 'none: this model has no chat template');
  const pieces = rendering.render(parseConversation(text));
  checkLength({ kind, text: pieces.join('') }, contextLength, reader.longest);
  return reader.encodePieces(pieces);
}

answerQuestions(codec.then(() => idsOf));
