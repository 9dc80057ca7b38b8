/** What the graph of a decoder takes and gives: token ids, and a cache that grows with them. */
import type { Report } from '../manifest/problems';
import type { CacheLayout, LanguageModelProgram } from '../manifest/program';
import type { GraphSummary, GraphValue } from '../onnx-file/types';
import { roundingOf } from './rounding';

export type DecoderLayout = Pick<
  LanguageModelProgram,
  'cache' | 'logitsDtype' | 'rounding' | 'takesPositions' | 'takesMask' | 'takesBranch'
>;

const PAST = /^past_key_values\.(\d+)\.(key|value)$/;
/** Those of decoders that read what an encoder wrote, too. */
const ANY_PAST = /^past_key_values\.(\d+\.(?:(?:decoder|encoder)\.)?(?:key|value))$/;
/** Its caches have a fixed size: past and present may be one buffer. */
const GROUPED = 'GroupQueryAttention';
/** Of merged decoders, which hold a graph for an empty cache and one for others. */
const BRANCH = 'use_cache_branch';

/**
 * Whether a graph is a decoder with a cache as exporters of transformers name it, served here or not: token ids
 * and keys and values of layers go in, logits and the next keys and values come out. What others call past or cache
 * may be anything.
 */
export function looksLikeDecoder({ inputs, outputs }: GraphSummary): boolean {
  const names = new Set(outputs.map(({ name }) => name));
  const caches = inputs.flatMap(({ name }) => ANY_PAST.exec(name)?.[1] ?? []);
  return (
    inputs.some(({ name, dims }) => name === 'input_ids' && dims?.length === 2) &&
    names.has('logits') &&
    caches.some((name) => name.endsWith('key') && names.has(`present.${name}`)) &&
    caches.some((name) => name.endsWith('value') && names.has(`present.${name}`))
  );
}

/**
 * As optimum exports decoders: `input_ids`, perhaps `attention_mask`, `position_ids` and `use_cache_branch`, and for each layer
 * `past_key_values.{i}.key` and `.value` of shape [rows, heads, length, head size], of which `present.{i}.…`
 * is the next.
 *
 * @param report is told of everything that is otherwise; undefined is answered then
 * @param headSize of graphs that do not say it
 */
export function decoderLayout(
  summary: GraphSummary,
  report: Report,
  headSize?: number,
): DecoderLayout | undefined {
  const refused: string[] = [];
  const refuse: Report = (key, value, expected) => {
    refused.push(key);
    report(key, value, expected);
  };
  const inputs = new Map(summary.inputs.map((value) => [value.name, value]));
  const outputs = new Map(summary.outputs.map((value) => [value.name, value]));
  for (const value of summary.inputs) checkInput(value, refuse);
  if (!inputs.has('input_ids'))
    refuse('inputs', [...inputs.keys()], 'input_ids, the ids of tokens');
  const logits = outputs.get('logits');
  if (logits === undefined || !isFloat(logits.dtype) || logits.dims?.length !== 3)
    refuse('outputs.logits', describe(logits), 'float32 or float16 [rows, tokens, vocabulary]');
  const isFixed = summary.nodes.some(({ op }) => op === GROUPED);
  if (isFixed && !inputs.has('attention_mask'))
    refuse('inputs', [...inputs.keys()], 'attention_mask, which says how long each row is');
  const cache = cacheOf(summary.inputs, outputs, refuse, headSize);
  if (refused.length > 0 || cache === undefined || logits === undefined || !isFloat(logits.dtype))
    return undefined;
  return {
    cache: isFixed ? { ...cache, kind: 'fixed' } : cache,
    logitsDtype: logits.dtype,
    rounding: roundingOf([summary], [logits.dtype, cache.dtype]),
    takesMask: inputs.has('attention_mask'),
    takesPositions: inputs.has('position_ids'),
    takesBranch: inputs.has(BRANCH),
  };
}

function checkInput(value: GraphValue, report: Report): void {
  const { name, dtype, dims } = value;
  if (PAST.test(name)) return;
  if (name === 'input_ids' || name === 'attention_mask' || name === 'position_ids') {
    if (dtype !== 'int64' || dims?.length !== 2)
      report(`inputs.${name}`, describe(value), 'int64 of two dimensions');
    return;
  }
  if (name === BRANCH) {
    if (dtype !== 'bool' || dims?.length !== 1)
      report(`inputs.${name}`, describe(value), 'bool of one dimension');
    return;
  }
  report(
    `inputs.${name}`,
    describe(value),
    'input_ids, attention_mask, position_ids, use_cache_branch, and past_key_values.{i}.key and .value: other layouts are not served yet',
  );
}

function cacheOf(
  inputs: readonly GraphValue[],
  outputs: ReadonlyMap<string, GraphValue>,
  report: Report,
  headSize?: number,
): CacheLayout | undefined {
  const tensors: CacheLayout['tensors'][number][] = [];
  let like: GraphValue | undefined;
  for (const value of inputs) {
    const [, layer, part] = PAST.exec(value.name) ?? [];
    if (layer === undefined || part === undefined) continue;
    const past = value.name;
    const present = `present.${layer}.${part}`;
    const { dims = [], dtype } = value;
    const [rows, heads, length, last] = dims;
    const size = typeof last === 'number' ? last : headSize;
    const fits =
      isFloat(dtype) &&
      dims.length === 4 &&
      typeof rows !== 'number' &&
      typeof heads === 'number' &&
      typeof length !== 'number' &&
      typeof size === 'number';
    if (!fits) {
      report(
        `inputs.${past}`,
        describe(value),
        'float32 or float16 [rows, heads, length, head size], rows and length free, the others fixed',
      );
      continue;
    }
    like ??= value;
    const next = outputs.get(present);
    if (next?.dtype !== dtype || next.dims?.length !== 4 || typeof next.dims[2] === 'number')
      report(
        `outputs.${present}`,
        describe(next),
        `the next of ${past}: ${dtype}, as long as it gets`,
      );
    tensors.push({ past, present, heads, size });
  }
  const dtype = like?.dtype;
  if (dtype === undefined || !isFloat(dtype)) {
    report(
      'inputs',
      inputs.map(({ name }) => name),
      'caches: past_key_values.{i}.key and .value',
    );
    return undefined;
  }
  const other = inputs.find((value) => PAST.test(value.name) && value.dtype !== dtype);
  if (other !== undefined)
    report(`inputs.${other.name}`, other.dtype, `${dtype}, as the other caches`);
  return { dtype, tensors };
}

export function isFloat(dtype: string): dtype is 'float32' | 'float16' {
  return dtype === 'float32' || dtype === 'float16';
}

export function describe(value: GraphValue | undefined): string | undefined {
  return value && `${value.dtype} [${(value.dims ?? ['?']).map((size) => size ?? '?').join(', ')}]`;
}
