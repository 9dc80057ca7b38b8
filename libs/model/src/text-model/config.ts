/** What transformers and sentence-transformers write beside the graph of a model that takes texts. */
import { join } from 'node:path';
import { z } from 'zod';
import { TOKENIZER_CONFIG } from '../language-model/chat-template';
import { CONFIG, count, readConfigFile, token } from '../language-model/config';
import { isFile } from '../language-model/is-file';
import type { Report } from '../manifest/problems';
import type { TextHead } from '../manifest/program';
import { MODULES } from './find';
import type { TextLayout } from './find';

const SENTENCE_CONFIG = 'sentence_bert_config.json';
/** Files beside the graph that are part of such a model; the folders of modules.json come to them. */
export const TEXT_MODEL_FILES: readonly string[] = [MODULES, SENTENCE_CONFIG];

/** Positions of these models begin behind the number of the token that fills up. */
const OFFSET_POSITIONS = ['roberta', 'xlm-roberta', 'camembert', 'mpnet', 'longformer'];
/** Beyond this a length stands for none. */
const NO_LENGTH = 1e9;

const configSchema = z.object({
  model_type: z.string().nullish(),
  max_position_embeddings: count.nullish(),
  pad_token_id: token.nullish(),
  id2label: z.record(z.string(), z.string()).nullish(),
  problem_type: z.string().nullish(),
});
type Config = z.output<typeof configSchema>;

const sentenceSchema = z.object({
  max_seq_length: count.nullish(),
  do_lower_case: z.boolean().nullish(),
});
const tokenizerSchema = z.object({ model_max_length: z.number().min(1).nullish() });
const modulesSchema = z.array(z.object({ path: z.string(), type: z.string() }));
const poolingSchema = z.record(z.string(), z.unknown());

export interface TextModelConfig {
  /** Longer texts are cut; undefined: nothing says how long they may be. */
  readonly maxTokens: number | undefined;
  readonly padToken: number;
  readonly head: TextHead;
  /** One for each score. */
  readonly labels: readonly string[];
}

/** @param report is told of what is wrong, or not served; undefined is answered then */
export async function readTextModelConfig(
  folder: string,
  layout: TextLayout,
  report: Report,
): Promise<TextModelConfig | undefined> {
  const read = <S extends z.ZodType>(
    name: string,
    schema: S,
    needed = false,
  ): Promise<z.output<S> | undefined> => readConfigFile(folder, name, schema, needed, report);
  const config = await read(CONFIG, configSchema, true);
  const sentence = await read(SENTENCE_CONFIG, sentenceSchema);
  const tokenizer = await read(TOKENIZER_CONFIG, tokenizerSchema);
  if (config === undefined || sentence === undefined || tokenizer === undefined) return undefined;
  if (sentence.do_lower_case === true) {
    const key = `${SENTENCE_CONFIG}: do_lower_case`;
    report(key, true, 'false: the tokenizer says itself what it does to letters');
    return undefined;
  }
  const labels = layout.to === 'scores' ? labelsOf(config, layout.count, report) : [];
  const head =
    layout.to === 'scores'
      ? scoresHead(config, layout.count)
      : await embeddingHead(folder, layout, report);
  if (labels === undefined || head === undefined) return undefined;
  const lengths = [sentence.max_seq_length, tokenizer.model_max_length, positionsOf(config)];
  const known = lengths.filter((length): length is number => (length ?? NO_LENGTH) < NO_LENGTH);
  const maxTokens = known.length === 0 ? undefined : Math.floor(Math.min(...known));
  return { maxTokens, padToken: config.pad_token_id ?? 0, head, labels };
}

function positionsOf({ max_position_embeddings, model_type, pad_token_id }: Config): number | null {
  if (typeof max_position_embeddings !== 'number') return null;
  const offset = OFFSET_POSITIONS.includes(model_type ?? '') ? (pad_token_id ?? 1) + 1 : 0;
  return max_position_embeddings - offset;
}

/** What transformers calls labels without names. */
function labelsOf({ id2label }: Config, size: number, report: Report): string[] | undefined {
  if (!id2label) return Array.from({ length: size }, (_, id) => `LABEL_${id}`);
  const labels = Array.from({ length: size }, (_, id) => id2label[String(id)]);
  const named = labels.filter((label) => label !== undefined);
  if (named.length === size && Object.keys(id2label).length === size) return named;
  report(`${CONFIG}: id2label`, id2label, `a label for each of the ${size} scores, from "0" on`);
  return undefined;
}

/** As the text-classification pipeline of transformers has it. */
function scoresHead({ problem_type }: Config, size: number): TextHead {
  const each = problem_type === 'multi_label_classification' || size === 1;
  const activation = problem_type === 'regression' ? 'none' : each ? 'sigmoid' : 'softmax';
  return { to: 'scores', activation, count: size };
}

async function embeddingHead(
  folder: string,
  { of, size }: Extract<TextLayout, { to: 'embedding' }>,
  report: Report,
): Promise<TextHead | undefined> {
  // Such exports hold all modules.
  if (of === 'texts') return { to: 'embedding', pooling: 'none', normalize: false, size };
  const modules = await readConfigFile(folder, MODULES, modulesSchema, true, report);
  if (modules === undefined) return undefined;
  let pooling: 'mean' | 'cls' | 'max' | undefined;
  let normalize = false;
  for (const { type, path } of modules.slice(1)) {
    const name = type.split('.').at(-1) ?? type;
    if (name === 'Pooling' && pooling === undefined) {
      pooling = await poolingOf(folder, path, report);
      if (pooling === undefined) return undefined;
    } else if (name === 'Normalize' && pooling !== undefined) normalize = true;
    else {
      report(MODULES, type, 'Transformer, then Pooling, then perhaps Normalize');
      return undefined;
    }
  }
  if (pooling !== undefined) return { to: 'embedding', pooling, normalize, size };
  report(
    MODULES,
    modules.map(({ type }) => type),
    'a module of Pooling',
  );
  return undefined;
}

const POOLINGS: ReadonlyMap<string, string> = new Map([
  ['pooling_mode_cls_token', 'cls'],
  ['pooling_mode_mean_tokens', 'mean'],
  ['pooling_mode_max_tokens', 'max'],
]);

async function poolingOf(
  folder: string,
  path: string,
  report: Report,
): Promise<'mean' | 'cls' | 'max' | undefined> {
  const name = join(path, CONFIG);
  if (!/^[A-Za-z0-9_-]+$/.test(path) || !(await isFile(join(folder, name)))) {
    report(MODULES, path, `the folder of Pooling with its ${CONFIG}`);
    return undefined;
  }
  const written = await readConfigFile(folder, name, poolingSchema, true, report);
  if (written === undefined) return undefined;
  // Newer versions write `pooling_mode`, older ones a flag for each.
  const flags = Object.keys(written).filter(
    (key) => key.startsWith('pooling_mode_') && written[key] === true,
  );
  const mode = written['pooling_mode'];
  const asked = typeof mode === 'string' ? [mode] : flags.map((key) => POOLINGS.get(key) ?? key);
  const [only] = asked;
  if (asked.length === 1 && (only === 'mean' || only === 'cls' || only === 'max')) return only;
  report(name, asked, 'one of mean, cls and max');
  return undefined;
}
