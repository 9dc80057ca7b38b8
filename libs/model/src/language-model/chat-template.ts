/** How a conversation becomes a prompt: the chat template that lies beside the tokenizer. */
import { join } from 'node:path';
import { CabstandError } from '@cabstand/core';
import { z } from 'zod';
import { parseJson } from '../files/json';
import { readRegular } from '../files/regular';
import type { Report } from '../manifest/problems';
import type { ChatTemplate } from '../manifest/program';
import { isFile } from './is-file';

export const CHAT_TEMPLATE = 'chat_template.jinja';
export const TOKENIZER_CONFIG = 'tokenizer_config.json';

/** Files of tokenizers list all their special tokens. */
const LARGEST = 64 * 1024 * 1024;

/** Transformers writes a token as its text, or with how it is found in a text. */
const token = z.union([z.string(), z.object({ content: z.string() })]);
const TOKENS = [
  ...['bos_token', 'eos_token', 'unk_token', 'sep_token'],
  ...['pad_token', 'cls_token', 'mask_token'],
] as const;

const schema = z.object({
  chat_template: z
    .union([z.string(), z.array(z.object({ name: z.string(), template: z.string() }))])
    .nullish(),
});

/**
 * Reads the template in a version's folder: chat_template.jinja, or else what tokenizer_config.json has.
 * Undefined where there is none, and where a file is wrong, which was reported then.
 */
export async function readChatTemplate(
  folder: string,
  report: Report,
): Promise<ChatTemplate | undefined> {
  const config = await readConfig(folder, report);
  if (config === undefined) return undefined;
  const parsed = schema.safeParse(config);
  if (!parsed.success) {
    const expected = 'a template, or a list of { name, template }';
    report(`${TOKENIZER_CONFIG}: chat_template`, config['chat_template'], expected);
    return undefined;
  }
  const { chat_template: written } = parsed.data;
  const named = (name: string): string | undefined =>
    typeof written === 'string'
      ? undefined
      : written?.find((template) => template.name === name)?.template;
  const file = join(folder, CHAT_TEMPLATE);
  const template = (await isFile(file))
    ? (await readRegular(file, LARGEST)).toString()
    : typeof written === 'string'
      ? written
      : named('default');
  if (template === undefined) return undefined;
  return { template, toolTemplate: named('tool_use'), tokens: tokensOf(config) };
}

async function readConfig(
  folder: string,
  report: Report,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  const file = join(folder, TOKENIZER_CONFIG);
  if (!(await isFile(file))) return {};
  try {
    return z.record(z.string(), z.unknown()).parse(parseJson(await readRegular(file, LARGEST)));
  } catch (error) {
    report(TOKENIZER_CONFIG, undefined, `a JSON object: ${CabstandError.from(error).message}`);
    return undefined;
  }
}

function tokensOf(config: Readonly<Record<string, unknown>>): Record<string, string> {
  const tokens: Record<string, string> = {};
  for (const name of TOKENS) {
    const { data } = token.safeParse(config[name]);
    if (data !== undefined) tokens[name] = typeof data === 'string' ? data : data.content;
  }
  return tokens;
}
