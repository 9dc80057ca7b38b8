/** What guided answers are of, and whether they are. */
import { isOf, object } from './schema';
import type { Schema } from './schema';

export interface Form {
  /** Parameters that ask for it. */
  readonly asked: Readonly<Record<string, unknown>>;
  /** Whether a whole answer is of it. */
  readonly fits: (text: string) => boolean;
}

function schema(json_schema: Schema): Form {
  return {
    asked: { json_schema },
    fits: (text) => {
      try {
        return isOf(json_schema, JSON.parse(text));
      } catch (error) {
        if (error instanceof SyntaxError) return false;
        throw error;
      }
    },
  };
}

function regex(pattern: string): Form {
  const whole = new RegExp(`^(?:${pattern})$`, 'u');
  return { asked: { regex: pattern }, fits: (text) => whole.test(text) };
}

/** Bounded, so that nearly all answers end by themselves; long enough to be struck in the middle. */
export const FORMS: readonly Form[] = [
  schema(
    object({
      kind: { enum: ['cab', 'stand'] },
      ids: {
        ...{ type: 'array', minItems: 8, maxItems: 12 },
        items: { type: 'integer', minimum: 0, maximum: 99 },
      },
    }),
  ),
  schema({
    ...{ type: 'array', minItems: 3, maxItems: 4 },
    items: object({ x: { type: 'integer', minimum: -50, maximum: 50 }, open: { type: 'boolean' } }),
  }),
  schema(object({ code: { type: 'string', pattern: '^[a-f]{20,40}$' }, next: { type: 'null' } })),
  regex('[a-z]{3,6}( [a-z]{3,6}){6,9}'),
  regex('(\\d{3}-){9}\\d{4}'),
  regex('#[0-9a-f]{6}(, #[0-9a-f]{6}){5}'),
];
