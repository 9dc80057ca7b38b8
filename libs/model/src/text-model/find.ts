/** Where a model lies that takes texts and gives a vector or scores for each. */
import { join } from 'node:path';
import { z } from 'zod';
import { CONFIG, readConfigFile } from '../language-model/config';
import { isFile } from '../language-model/is-file';
import { isFloat } from '../language-model/layout';
import { onnxFiles } from '../manifest/graph-files';
import type { TextModelProgram } from '../manifest/program';
import { readGraph } from '../onnx-file/read';
import type { GraphSummary, GraphValue } from '../onnx-file/types';

export const MODULES = 'modules.json';
const TOKENIZER = 'tokenizer.json';
const USUAL_FILE = 'model.onnx';

/** What its graph takes and gives. */
export type TextLayout = Pick<TextModelProgram, 'takesTypes' | 'idDtype' | 'output'> &
  (
    | {
        readonly to: 'embedding';
        /** `tokens`: of each token, to be pooled. */
        readonly of: 'texts' | 'tokens';
        readonly size: number | undefined;
      }
    | { readonly to: 'scores'; readonly count: number }
  );

export interface FoundTextModel {
  readonly kind: 'texts';
  readonly file: string;
  readonly layout: TextLayout;
}

/**
 * A folder as exporters of transformers and sentence-transformers write it: config.json, tokenizer.json, and a graph that
 * takes `input_ids` and `attention_mask` and gives `logits` for labels, or vectors. Vectors of tokens become one as
 * modules.json says; without it such a graph is served as any other. Undefined where there is none.
 */
export async function findTextModel(folder: string): Promise<FoundTextModel | undefined> {
  const files = await onnxFiles(folder);
  const file = files.includes(USUAL_FILE) ? USUAL_FILE : files.length === 1 ? files[0] : undefined;
  if (file === undefined) return undefined;
  const told = [CONFIG, TOKENIZER].map((name) => isFile(join(folder, name)));
  if ((await Promise.all(told)).includes(false)) return undefined;
  // What cannot be read is told by whoever loads it.
  const summary = await readGraph(join(folder, file)).catch(() => undefined);
  const layout = summary && textLayout(summary);
  if (layout === undefined) return undefined;
  const serves =
    layout.to === 'scores'
      ? await classifies(folder)
      : layout.of === 'texts' || (await isFile(join(folder, MODULES)));
  return serves ? { kind: 'texts', file, layout } : undefined;
}

/** Others give `logits` too, of choices for example. Some exports do not name it. */
async function classifies(folder: string): Promise<boolean> {
  const schema = z.object({ architectures: z.array(z.string()).nullish() });
  const config = await readConfigFile(folder, CONFIG, schema, true, () => undefined);
  const [named] = config?.architectures ?? [];
  return named === undefined || named.endsWith('ForSequenceClassification');
}

const INPUTS = ['input_ids', 'attention_mask', 'token_type_ids'];

function textLayout({ inputs, outputs }: GraphSummary): TextLayout | undefined {
  const given = new Map(inputs.map((value) => [value.name, value]));
  const idDtype = given.get('input_ids')?.dtype;
  if (idDtype !== 'int64' && idDtype !== 'int32') return undefined;
  const odd = inputs.some(
    ({ name, dtype, dims }) =>
      !INPUTS.includes(name) || dtype !== idDtype || dims?.length !== 2 || dims.some(isFixed),
  );
  if (odd || !given.has('attention_mask')) return undefined;
  const base = { idDtype, takesTypes: given.has('token_type_ids') } as const;
  const outputOf = (
    ...names: string[]
  ): (GraphValue & { dtype: 'float32' | 'float16' }) | undefined =>
    outputs.flatMap((value) =>
      names.includes(value.name) && isFloat(value.dtype) ? { ...value, dtype: value.dtype } : [],
    )[0];
  const logits = outputOf('logits');
  if (logits !== undefined) {
    const { name, dtype, dims } = logits;
    const count = dims?.[1];
    if (dims?.length !== 2 || typeof count !== 'number') return undefined;
    return { ...base, output: { name, dtype }, to: 'scores', count };
  }
  const whole = outputOf('sentence_embedding');
  const found = whole ?? outputOf('last_hidden_state', 'token_embeddings');
  if (found?.dims?.length !== (whole === undefined ? 3 : 2)) return undefined;
  const size = found.dims.at(-1);
  return {
    ...base,
    ...{ output: { name: found.name, dtype: found.dtype }, to: 'embedding' },
    of: whole === undefined ? 'tokens' : 'texts',
    size: typeof size === 'number' ? size : undefined,
  };
}

function isFixed(size: number | string | undefined): boolean {
  return typeof size === 'number';
}
