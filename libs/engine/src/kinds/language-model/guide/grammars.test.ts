/** The library aborts while a grammar is followed: nobody else is refused for that. */
import { filesOf } from '../models.fixture';
import { Grammars } from './grammars';
import { loadLibrary } from './library';
import type { GuideVocabulary, LoadedLibrary } from './library';
import type { GuideSource } from './source';
import { readGuideVocabulary } from './vocabulary';

const DIGITS: GuideSource = { kind: 'regex', text: '[0-9]{2}' };
const YES: GuideSource = { kind: 'choice', text: '["yes","no"]' };
const ask = (matcher: number, source: GuideSource | undefined, tokens: number[] = []) =>
  ({ kind: 'mask', matcher, source, from: 0, tokens }) as const;

let vocabulary: GuideVocabulary;
beforeAll(async () => {
  vocabulary = await readGuideVocabulary(filesOf('gpt2').file, 448, [2]);
});

function firstOf(mask: unknown): number {
  if (!(mask instanceof Int32Array)) throw new Error(`no mask: ${String(mask)}`);
  return Array.from({ length: 448 }, (_, id) => id).findIndex(
    (id) => (((mask[id >> 5] ?? 0) >>> (id & 31)) & 1) === 1,
  );
}

/** A library that aborts in one of its functions once it is told to, and in all of them from then on. */
class Breaking {
  where: string | undefined;
  aborted = false;

  async load(): Promise<LoadedLibrary> {
    const loaded = await loadLibrary(vocabulary);
    return {
      ...loaded,
      matcher: async (compiled) => {
        this.#enter('createGrammarMatcher');
        const made = await loaded.matcher(compiled);
        return {
          acceptToken: (id) => {
            this.#enter('acceptToken');
            return made.acceptToken(id);
          },
          getNextTokenBitmask: async () => {
            this.#enter('getNextTokenBitmask');
            return await made.getNextTokenBitmask();
          },
          dispose: () => {
            this.#enter('dispose');
            made.dispose();
          },
        };
      },
    };
  }

  #enter(name: string): void {
    this.aborted ||= this.where === name;
    if (this.aborted) throw new Error('Aborted()');
  }
}

test.each([
  ['createGrammarMatcher', true],
  ['acceptToken', true],
  ['getNextTokenBitmask', true],
  ['dispose', false],
])(
  'after an abort in %s the library is loaded anew, and grammars are followed as before',
  async (where, refuses) => {
    const breaking = new Breaking();
    const load = jest.fn(loadLibrary).mockImplementationOnce(() => breaking.load());
    const grammars = new Grammars(vocabulary, load);
    const first = firstOf(await grammars.answer(ask(1, DIGITS)));
    await grammars.answer(ask(2, YES));
    breaking.where = where;
    const asked = refuses
      ? grammars.answer(ask(3, DIGITS, [first]))
      : grammars.answer({ kind: 'drop', matcher: 2 });
    if (refuses)
      await expect(asked).rejects.toMatchObject({
        reason: 'PARAMETER_INVALID',
        message: expect.stringContaining('parameter regex') as string,
      });
    else expect(await asked).toBe('done');
    expect(breaking.aborted).toBe(true);
    // What was known of others is gone, and found again.
    expect(await grammars.answer({ ...ask(1, undefined), from: 1, tokens: [] })).toBe('again');
    expect(firstOf(await grammars.answer(ask(1, DIGITS, [first])))).toBeGreaterThan(0);
    expect(firstOf(await grammars.answer(ask(2, YES)))).toBeGreaterThan(0);
    expect(await grammars.answer({ kind: 'compile', source: YES })).toBe('done');
    expect(load).toHaveBeenCalledTimes(2);
  },
);

test('a library that could not be loaded once is loaded by the next who asks', async () => {
  const load = jest.fn(loadLibrary).mockRejectedValueOnce(new Error('no memory'));
  const grammars = new Grammars(vocabulary, load);
  await expect(grammars.answer(ask(1, DIGITS))).rejects.toThrow('no memory');
  expect(firstOf(await grammars.answer(ask(1, DIGITS)))).toBeGreaterThan(0);
});
