/** Parameters of OpenAI and of servers like it, by the names that language models here have for them. */
import { invalid } from '@cabstand/core';
import { z } from 'zod';
import type { ModelFacts } from '../serving';

type Values = Record<string, unknown>;

/** Of no effect here: who asks is known by the credentials, and nothing is stored. */
const IGNORED = [
  ...['user', 'metadata', 'store', 'service_tier', 'parallel_tool_calls'],
  ...['prompt_cache_key', 'safety_identifier'],
];

/** What changes nothing, and is sent by clients that know no better: models without the parameter need not refuse it. */
const NEUTRAL: Readonly<Record<string, unknown>> = {
  frequency_penalty: 0,
  presence_penalty: 0,
  repetition_penalty: 1,
  logit_bias: {},
  stop: [],
  min_p: 0,
  min_tokens: 0,
  top_p: 1,
};

const logprobsSchema = z.union([z.boolean(), z.int().min(0)]);
const format = z.discriminatedUnion('type', [
  z.looseObject({ type: z.literal('text') }),
  z.looseObject({ type: z.literal('json_object') }),
  z.looseObject({
    type: z.literal('json_schema'),
    json_schema: z.looseObject({ schema: z.record(z.string(), z.unknown()).default({}) }),
  }),
]);

/** All that a request says besides what it is about. @throws CabstandError INVALID_ARGUMENT. */
export function turnParameters({
  max_tokens: most,
  max_completion_tokens: mostToo,
  logprobs,
  top_logprobs: top,
  response_format: written,
  ...others
}: Values): Values {
  const parameters: Values = {};
  for (const [name, value] of Object.entries(others))
    if (!IGNORED.includes(name)) parameters[name] = value;
  const limit = mostToo ?? most;
  const limitName = mostToo === undefined ? 'max_tokens' : 'max_completion_tokens';
  // To models 0 is no limit.
  if (limit === 0) throw invalid('INVALID_ARGUMENT', limitName, limit, 'at least 1');
  if (limit !== undefined) parameters['max_tokens'] = limit;
  const told = logprobsOf(logprobs, top);
  if (told !== undefined) parameters['logprobs'] = told;
  const schema = schemaOf(written);
  if (schema !== undefined) parameters['json_schema'] = schema;
  return parameters;
}

/** How many of the most likely tokens are told with each token; undefined: not even its own probability. */
function logprobsOf(given: unknown, top: unknown): number | undefined {
  if (given === undefined && top === undefined) return undefined;
  const { data: logprobs } = logprobsSchema.safeParse(given ?? false);
  if (logprobs === undefined)
    throw invalid('INVALID_ARGUMENT', 'logprobs', given, 'true, false or a number');
  if (typeof logprobs === 'number') return logprobs;
  const { data: most, success } = z
    .int()
    .min(0)
    .safeParse(top ?? 0);
  if (!success || (!logprobs && most > 0))
    throw invalid('INVALID_ARGUMENT', 'top_logprobs', top, 'a number, with logprobs true');
  return logprobs ? most : undefined;
}

function schemaOf(written: unknown): object | undefined {
  if (written === undefined) return undefined;
  const { data } = format.safeParse(written);
  if (data === undefined)
    throw invalid(
      'INVALID_ARGUMENT',
      'response_format',
      written,
      '{"type": "text"}, {"type": "json_object"} or {"type": "json_schema", "json_schema": {"schema"}}',
    );
  if (data.type === 'json_object') return { type: 'object' };
  return data.type === 'json_schema' ? data.json_schema.schema : undefined;
}

/**
 * What a turn of the model is told: without what changes nothing where the model does not know it.
 *
 * @throws CabstandError PARAMETER_INVALID for what the model has no parameter for.
 */
export function parametersFor(
  { name: model, parameters: declared }: Pick<ModelFacts, 'name' | 'parameters'>,
  asked: Readonly<Values>,
): Values {
  const known = new Set(declared.map(({ name }) => name));
  const parameters: Values = {};
  for (const [name, value] of Object.entries(asked)) {
    if (known.has(name)) {
      parameters[name] = value;
      continue;
    }
    if (name in NEUTRAL && JSON.stringify(NEUTRAL[name]) === JSON.stringify(value)) continue;
    const field = name === 'json_schema' ? 'response_format' : name;
    const names = [...known].join(', ') || 'none';
    throw invalid('PARAMETER_INVALID', field, value, `a parameter of model ${model}: ${names}`);
  }
  return parameters;
}
