import { CabstandError, invalid } from './errors';
import { nearest } from './nearest';

/** The members of an object of options: `true`, or the members of the object that one holds. */
export interface OptionNames {
  readonly [name: string]: true | OptionNames;
}

/** `const NAMES = { … } satisfies NamesOf<Options>` does not compile while a member is missing. */
export type NamesOf<Options> = Readonly<Record<keyof Required<Options>, true | OptionNames>>;

/**
 * Refuses members that an object of options does not have, and what is no object. Members that are undefined
 * are none. Throws INVALID_ARGUMENT that names all unknown members, those of inner objects included; its
 * metadata are those of the first.
 *
 * @param of what takes the options, for the message: `new SessionManager`
 */
export function checkOptions(of: string, options: unknown, names: OptionNames): void {
  const problems = problemsOf(of, '', options, names);
  const [first] = problems;
  if (first === undefined) return;
  if (problems.length === 1) throw first;
  const lines = problems.map(({ message }) => `\n  ${message}`);
  throw new CabstandError('INVALID_ARGUMENT', `${problems.length} problems:${lines.join('')}`, {
    metadata: { ...first.metadata, problems: String(problems.length) },
  });
}

function problemsOf(
  of: string,
  within: string,
  options: unknown,
  names: OptionNames,
): CabstandError[] {
  const known = Object.keys(names);
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    return [
      invalid(
        'INVALID_ARGUMENT',
        within === '' ? `options of ${of}` : within,
        options,
        `an object of { ${known.join(', ')} }`,
      ),
    ];
  return Object.entries(options).flatMap(([name, value]: [string, unknown]) => {
    if (value === undefined) return [];
    const field = within === '' ? name : `${within}.${name}`;
    const inner = Object.hasOwn(names, name) ? names[name] : undefined;
    if (inner === undefined) return [unknownOption(of, field, name, known)];
    return inner === true ? [] : problemsOf(of, field, value, inner);
  });
}

function unknownOption(
  of: string,
  field: string,
  name: string,
  known: readonly string[],
): CabstandError {
  const guess = nearest(name, known);
  const expected = `one of ${known.join(', ')}`;
  return new CabstandError(
    'INVALID_ARGUMENT',
    `${field}: ${of} has no such option, expected ${expected}` +
      (guess === undefined ? '' : `; did you mean ${guess}?`),
    { metadata: { field, expected } },
  );
}
