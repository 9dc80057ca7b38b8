/** Functions that a request offers to its model, and whether the model is to call one. */
import { invalid } from '@cabstand/core';
import { z } from 'zod';

export interface OfferedFunction {
  readonly name: string;
  /** JSON schema of its arguments. */
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** JSON schemas of arguments, by the names of the functions. */
export type Offered = ReadonlyMap<string, OfferedFunction['parameters']>;

export interface ToolOffer {
  readonly functions: readonly OfferedFunction[];
  /** `auto`: the model may call any of them. Otherwise it calls one: of these. */
  readonly choice: 'auto' | readonly OfferedFunction[];
}

export const toolsSchema = z.array(
  z.looseObject({
    type: z.literal('function'),
    function: z.looseObject({
      name: z.string().min(1).max(256),
      parameters: z.record(z.string(), z.unknown()).nullish(),
    }),
  }),
);
export const toolChoiceSchema = z.union(
  [
    z.enum(['none', 'auto', 'required']),
    z.looseObject({
      type: z.literal('function'),
      function: z.looseObject({ name: z.string() }),
    }),
  ],
  { error: 'none, auto, required or {"type": "function", "function": {"name"}}' },
);

/** Of a function that says nothing of arguments. */
const NO_ARGUMENTS = { type: 'object', properties: {}, additionalProperties: false };

/**
 * Undefined: no function may be called.
 *
 * @throws CabstandError INVALID_ARGUMENT for a choice of what is not offered.
 */
export function offerOf(
  tools: z.output<typeof toolsSchema>,
  choice: z.output<typeof toolChoiceSchema> | undefined,
): ToolOffer | undefined {
  const functions = tools.map(({ function: { name, parameters } }) => ({
    ...{ name, parameters: parameters ?? NO_ARGUMENTS },
  }));
  if (choice === 'none') return undefined;
  if (choice === undefined || choice === 'auto')
    return functions.length === 0 ? undefined : { functions, choice: 'auto' };
  const wanted = choice === 'required' ? undefined : choice.function.name;
  const chosen = functions.filter(({ name }) => wanted === undefined || name === wanted);
  if (chosen.length > 0) return { functions, choice: chosen };
  const names = functions.map(({ name }) => name).join(', ');
  const expected =
    names === '' ? 'none or auto: there are no tools' : `a function of tools: ${names}`;
  throw invalid('INVALID_ARGUMENT', 'tool_choice', wanted ?? choice, expected);
}
