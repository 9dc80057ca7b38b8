import type { z } from 'zod';

const TYPES: Readonly<Record<string, string>> = {
  array: 'a list',
  boolean: 'true or false',
  int: 'a whole number',
  number: 'a number',
  object: 'keys and values',
  record: 'keys and values',
  string: 'text',
};

/** What a setting should have been, in words. Messages that a schema has of its own go before. */
export function expectation(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined && issue.expected !== 'object'
        ? `is missing, expected ${TYPES[issue.expected] ?? issue.expected}`
        : `expected ${TYPES[issue.expected] ?? issue.expected}`;
    case 'invalid_value':
      return `expected ${issue.values.length > 1 ? 'one of ' : ''}${issue.values.map(String).join(', ')}`;
    case 'too_small':
      return `expected ${bound(issue.origin, issue.minimum, issue.inclusive === false ? 'more than' : 'at least')}`;
    case 'too_big':
      return `expected ${bound(issue.origin, issue.maximum, issue.inclusive === false ? 'less than' : 'at most')}`;
    default:
      return undefined;
  }
}

function bound(origin: string, limit: number | bigint, how: string): string {
  const one = limit === 1 || limit === 1n;
  const unit = { string: one ? ' character' : ' characters', array: one ? ' entry' : ' entries' };
  return `${how} ${limit}${origin === 'string' || origin === 'array' ? unit[origin] : ''}`;
}
