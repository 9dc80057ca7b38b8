/** Compiles grammars and says which tokens they allow next: in a thread, for what callers write may take long. */
import { CabstandError, invalid } from '@cabstand/core';
import { loadLibrary } from './library';
import type { Compiled, GuideVocabulary, LoadedLibrary, Matcher } from './library';
import type { GuideAsked, GuideSource, GuideTold } from './source';
import { TokenBytes } from './token-bytes';

/** Grammars that are kept compiled. */
const MOST_COMPILED = 64;
/** Texts that are followed. */
const MOST_MATCHERS = 1024;
/** Compiling leaves memory behind: after so many grammars the library is loaded anew. */
const MOST_COMPILES = 256;
/** Number of a text that nobody has. */
const TRIAL = -1;
/** Spaces between two parts of JSON. */
const MOST_WHITESPACE = 2;

const EXPECTED: Readonly<Record<GuideSource['kind'], string>> = {
  json_schema: 'a JSON schema that can be followed',
  regex: 'a regular expression that can be followed',
  choice: 'texts that can be followed',
  grammar: 'a grammar in EBNF with the rule root',
};

interface Followed {
  readonly matcher: Matcher;
  readonly source: GuideSource;
  tokens: number;
  /** The last one of them. */
  last: number | undefined;
}

export class Grammars {
  readonly #vocabulary: GuideVocabulary;
  readonly #load: typeof loadLibrary;
  readonly #bytes: TokenBytes;
  #library: Promise<LoadedLibrary> | undefined;
  #compiles = 0;
  /** By the JSON of their sources; those used last are behind. */
  readonly #compiled = new Map<string, Compiled>();
  readonly #matchers = new Map<number, Followed>();

  /** @param load loads the library; not the same one twice */
  constructor(vocabulary: GuideVocabulary, load = loadLibrary) {
    this.#vocabulary = vocabulary;
    this.#load = load;
    this.#bytes = new TokenBytes(vocabulary);
  }

  /** Loads the library before anybody waits for it. */
  async load(): Promise<this> {
    await this.#loaded();
    return this;
  }

  /** @throws CabstandError PARAMETER_INVALID for what cannot be compiled. */
  async answer(asked: GuideAsked): Promise<GuideTold> {
    switch (asked.kind) {
      case 'compile':
        await this.#try(asked.source);
        return 'done';
      case 'mask':
        return await this.#mask(asked);
      case 'drop':
        this.#drop(asked.matcher);
        return 'done';
    }
  }

  /** A grammar may be right, and no text of it: it ends nowhere. */
  async #try(source: GuideSource): Promise<void> {
    await this.#follow(TRIAL, source);
    await this.#next(TRIAL, source);
    this.#drop(TRIAL);
  }

  async #mask(asked: Extract<GuideAsked, { kind: 'mask' }>): Promise<GuideTold> {
    const { matcher: id, source, from, tokens } = asked;
    if (source !== undefined) await this.#follow(id, source);
    const followed = this.#matchers.get(id);
    if (followed?.tokens !== from) return 'again';
    for (const token of tokens) {
      if (!(await this.#use(followed.source, () => followed.matcher.acceptToken(token))))
        throw new CabstandError(
          'CHECKPOINT_INVALID',
          `token ${token}, number ${followed.tokens} of the answer, is not of its grammar`,
          { metadata: { problem: 'turn' } },
        );
      followed.tokens += 1;
      followed.last = token;
    }
    return await this.#next(id, followed.source);
  }

  async #next(id: number, source: GuideSource): Promise<Int32Array> {
    const { kind, text } = source;
    const followed = this.#matchers.get(id);
    const found = await this.#use(source, () => followed?.matcher.getNextTokenBitmask());
    // What the library gives is a view of its own memory.
    const mask = Int32Array.from(found ?? []);
    this.#bytes.forbid(mask, followed?.last, kind === 'json_schema');
    if (mask.some((bits) => bits !== 0)) return mask;
    throw invalid(
      'PARAMETER_INVALID',
      `parameter ${kind}`,
      text,
      `${EXPECTED[kind]}: after ${followed?.tokens ?? 0} tokens of an answer no token of this model may follow`,
    );
  }

  async #follow(id: number, source: GuideSource): Promise<void> {
    this.#drop(id);
    const compiled = await this.#compile(source);
    const matcher = await this.#use(source, (library) => library.matcher(compiled));
    this.#matchers.set(id, { matcher, source, tokens: 0, last: undefined });
    const [oldest] = this.#matchers.keys();
    if (this.#matchers.size > MOST_MATCHERS && oldest !== undefined) this.#drop(oldest);
  }

  #drop(id: number): void {
    try {
      this.#matchers.get(id)?.matcher.dispose();
      this.#matchers.delete(id);
    } catch {
      this.#forget();
    }
  }

  async #compile(source: GuideSource): Promise<Compiled> {
    const key = JSON.stringify(source);
    const kept = this.#compiled.get(key);
    if (kept !== undefined) {
      this.#compiled.delete(key);
      this.#compiled.set(key, kept);
      return kept;
    }
    if (this.#compiles >= MOST_COMPILES) this.#forget();
    this.#compiles += 1;
    const compiled = await this.#use(source, ({ compiler }) => compile(compiler, source));
    this.#compiled.set(key, compiled);
    const [oldest] = this.#compiled.keys();
    if (this.#compiled.size > MOST_COMPILED && oldest !== undefined) {
      // Matchers of it keep what they need.
      this.#compiled.get(oldest)?.dispose();
      this.#compiled.delete(oldest);
    }
    return compiled;
  }

  /**
   * All use of the library: where it throws it has aborted, and nothing of it can be used any more, by nobody.
   *
   * @throws CabstandError PARAMETER_INVALID with the library's reason.
   */
  async #use<T>(source: GuideSource, work: (library: LoadedLibrary) => T | Promise<T>): Promise<T> {
    const library = await this.#loaded();
    try {
      return await work(library);
    } catch {
      this.#forget();
      const why = library.reason();
      const expected = EXPECTED[source.kind] + (why === '' ? '' : `: ${why}`);
      throw invalid('PARAMETER_INVALID', `parameter ${source.kind}`, source.text, expected);
    }
  }

  async #loaded(): Promise<LoadedLibrary> {
    const library = (this.#library ??= this.#load(this.#vocabulary));
    try {
      return await library;
    } catch (error) {
      // The next one tries again.
      if (this.#library === library) this.#library = undefined;
      throw error;
    }
  }

  /** What was followed is followed again from its first token: whoever asks is told to say them. */
  #forget(): void {
    this.#library = undefined;
    this.#compiles = 0;
    this.#compiled.clear();
    this.#matchers.clear();
  }
}

function compile(
  compiler: LoadedLibrary['compiler'],
  { kind, text }: GuideSource,
): Promise<Compiled> {
  switch (kind) {
    case 'json_schema':
      return compiler.compileJSONSchema(text, true, undefined, undefined, true, MOST_WHITESPACE);
    case 'regex':
      return compiler.compileStructuralTag({
        type: 'structural_tag',
        format: { type: 'regex', pattern: text },
      });
    case 'choice':
      return compiler.compileGrammar(`root ::= ${literals(text)}`);
    case 'grammar':
      return compiler.compileGrammar(text);
  }
}

/** JSON escapes what EBNF escapes, in the same way. */
function literals(text: string): string {
  const choices = JSON.parse(text) as readonly string[];
  return choices.map((choice) => JSON.stringify(choice)).join(' | ');
}
