/** What the graphs of an encoder and its decoder take and give, as optimum exports them. */
import type { Report } from '../manifest/problems';
import type { CacheLayout, DecoderGraphs, Rounding } from '../manifest/program';
import type { GraphSummary, GraphValue } from '../onnx-file/types';
import { describe, isFloat } from './layout';
import { roundingOf } from './rounding';

/** What goes into the encoder: tokens, or features of fixed sizes. */
export type SourceLayout =
  | { readonly kind: 'tokens' }
  | {
      readonly kind: 'features';
      readonly bins: number;
      readonly frames: number;
      /** Positions that the encoder makes of them. */
      readonly positions: number;
    };

export interface CrossDecoderLayout {
  readonly logitsDtype: 'float32' | 'float16';
  readonly rounding: Rounding;
  /** Of the tokens of the answer. */
  readonly cache: CacheLayout;
  /** Of what the encoder wrote. */
  readonly crossCache: CacheLayout;
}

/** @param report is told of everything that is otherwise; undefined is answered then */
export function encoderLayout(summary: GraphSummary, report: Report): SourceLayout | undefined {
  const values = new Map(summary.inputs.map((value) => [value.name, value]));
  const hidden = summary.outputs.find(({ name }) => name === 'last_hidden_state');
  if (hidden === undefined || !isFloat(hidden.dtype) || hidden.dims?.length !== 3) {
    report(
      'outputs.last_hidden_state',
      describe(hidden),
      'float32 or float16 [rows, length, size]',
    );
    return undefined;
  }
  const features = values.get('input_features');
  const tokens = values.get('input_ids');
  const allowed =
    features === undefined ? ['input_ids', 'attention_mask'] : ['input_features', 'attention_mask'];
  const other = summary.inputs.find(({ name }) => !allowed.includes(name));
  if (other !== undefined || (features === undefined && tokens === undefined)) {
    report(
      other === undefined ? 'inputs' : `inputs.${other.name}`,
      other === undefined ? [...values.keys()] : describe(other),
      'input_ids or input_features, and perhaps attention_mask: other encoders are not served yet',
    );
    return undefined;
  }
  if (features === undefined) return { kind: 'tokens' };
  const [, bins, frames] = features.dims ?? [];
  const positions = hidden.dims[1];
  if (features.dtype === 'float32' && typeof bins === 'number' && typeof frames === 'number')
    return {
      ...{ kind: 'features', bins, frames },
      positions: typeof positions === 'number' ? positions : frames,
    };
  report('inputs.input_features', describe(features), 'float32 [rows, bins, frames], both fixed');
  return undefined;
}

/**
 * @param decoder how its graphs are run
 * @param withCache the graph that has caches as inputs: the merged one, or the second of a pair
 * @param first the graph of the first run: the merged one, or the first of a pair
 */
export function crossDecoderLayout(
  decoder: DecoderGraphs,
  withCache: GraphSummary,
  first: GraphSummary,
  report: Report,
): CrossDecoderLayout | undefined {
  const refused: string[] = [];
  const refuse: Report = (key, value, expected) => {
    refused.push(key);
    report(key, value, expected);
  };
  const known = ['input_ids', 'encoder_hidden_states', 'encoder_attention_mask'];
  if (decoder.how === 'merged') known.push('use_cache_branch');
  for (const value of [...withCache.inputs, ...first.inputs])
    if (!known.includes(value.name) && !/^past_key_values\./.test(value.name))
      refuse(
        `inputs.${value.name}`,
        describe(value),
        `${known.join(', ')} and past_key_values: other layouts are not served yet`,
      );
  const logits = first.outputs.find(({ name }) => name === 'logits');
  if (logits === undefined || !isFloat(logits.dtype) || logits.dims?.length !== 3)
    refuse('outputs.logits', describe(logits), 'float32 or float16 [rows, tokens, vocabulary]');
  const cache = cacheOf('decoder', withCache, first, refuse);
  const crossCache = cacheOf('encoder', withCache, first, refuse);
  if (refused.length > 0 || cache === undefined || crossCache === undefined) return undefined;
  if (logits === undefined || !isFloat(logits.dtype)) return undefined;
  const dtypes = [logits.dtype, cache.dtype, crossCache.dtype];
  const rounding = roundingOf([withCache, first], dtypes);
  return { logitsDtype: logits.dtype, rounding, cache, crossCache };
}

function cacheOf(
  side: 'decoder' | 'encoder',
  withCache: GraphSummary,
  first: GraphSummary,
  report: Report,
): CacheLayout | undefined {
  const written = new Set(first.outputs.map(({ name }) => name));
  const pattern = new RegExp(`^past_key_values\\.(\\d+)\\.${side}\\.(key|value)$`);
  const tensors: CacheLayout['tensors'][number][] = [];
  let dtype: CacheLayout['dtype'] | undefined;
  for (const value of withCache.inputs) {
    const [past, layer, part] = pattern.exec(value.name) ?? [];
    if (past === undefined) continue;
    const present = `present.${layer}.${side}.${part}`;
    const heads = value.dims?.[1];
    const size = value.dims?.[3];
    if (!isFloat(value.dtype) || typeof heads !== 'number' || typeof size !== 'number') {
      report(
        `inputs.${past}`,
        describe(value),
        'float32 or float16 [rows, heads, length, head size], heads and head size fixed',
      );
      continue;
    }
    dtype ??= value.dtype;
    if (value.dtype !== dtype) report(`inputs.${past}`, value.dtype, `${dtype}, as the others`);
    if (!written.has(present)) report(`outputs.${present}`, undefined, `the next of ${past}`);
    tensors.push({ past, present, heads, size });
  }
  if (dtype !== undefined) return { dtype, tensors };
  const names = withCache.inputs.map(({ name }: GraphValue) => name);
  report('inputs', names, `caches: past_key_values.{i}.${side}.key and .value`);
  return undefined;
}
