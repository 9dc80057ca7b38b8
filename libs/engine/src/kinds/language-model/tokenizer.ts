/** Text of language models: tokenizer.json, by the library of those who defined it. */
import { Tokenizer } from '@huggingface/tokenizers';
import { parseJson, readRegular } from '@cabstand/model';
import type { TokenizerFiles } from '@cabstand/model';
import { CabstandError, invalid } from '@cabstand/core';

/** Larger ones are not read. */
const LARGEST = 256 * 1024 * 1024;

/** What is used of the library: its own types do not resolve from CommonJS. */
interface Library {
  /** Among the ids there may be none for what has no token. */
  encode(
    text: string,
    options?: { readonly add_special_tokens: boolean },
  ): { readonly ids: (number | null | undefined)[] };
  decode(ids: number[], options: Readonly<Record<string, boolean>>): string;
  /** Of some ids there is no token, and such a key. */
  get_vocab(): ReadonlyMap<string | undefined, number>;
  get_added_tokens_decoder(): ReadonlyMap<
    number,
    { readonly content: string; readonly special: boolean }
  >;
}

const makeTokenizer = Tokenizer as unknown as new (tokenizer: object, config: object) => Library;

export class TextCodec {
  readonly #tokenizer: Library;
  readonly #known = new Set<number>();
  readonly #maxTokens: number;
  /** Characters of the longest token. */
  readonly longest: number;
  /** How many tokens it knows. */
  readonly size: number;

  private constructor(tokenizer: Library, maxTokens: number) {
    this.#tokenizer = tokenizer;
    this.#maxTokens = maxTokens;
    let longest = 1;
    const vocabulary = tokenizer.get_vocab();
    this.size = vocabulary.size;
    for (const [token, id] of vocabulary) {
      longest = Math.max(longest, token?.length ?? 0);
      this.#known.add(id);
    }
    this.longest = longest;
  }

  /** @throws CabstandError MODEL_FAILED for a file that the library does not take. */
  static async load({ file, config, maxTokens = Infinity }: TokenizerFiles): Promise<TextCodec> {
    try {
      const written = parseJson(await readRegular(file, LARGEST)) as object;
      const settings =
        config === undefined ? {} : (parseJson(await readRegular(config, LARGEST)) as object);
      return new TextCodec(new makeTokenizer(written, settings), maxTokens);
    } catch (cause) {
      const { message } = CabstandError.from(cause);
      throw new CabstandError('MODEL_FAILED', `${file}: ${message}`, {
        metadata: { file },
        cause,
      });
    }
  }

  /**
   * Ids of a text, with those that the tokenizer puts around it: they stay where the text is cut.
   *
   * @throws CabstandError INPUT_TEXT for a text that it has no ids for.
   */
  encode(text: string): number[] {
    const ids = this.#idsOf('prompt', text, this.#tokenizer.encode(text).ids);
    return ids.length <= this.#maxTokens ? ids : this.#cut(ids, text);
  }

  #cut(whole: readonly number[], text: string): number[] {
    const inner = this.#tokenizer.encode(text, { add_special_tokens: false }).ids.length;
    const around = whole.length - inner;
    const head = frontOf(around, this.#tokenizer);
    const left = Math.max(0, this.#maxTokens - around);
    return [...whole.slice(0, head + left), ...whole.slice(head + inner)];
  }

  /**
   * Ids of a text that has its special tokens already. None is found across two pieces of it.
   *
   * @throws CabstandError INPUT_TEXT for a text that it has no ids for.
   */
  encodePieces(pieces: readonly string[]): number[] {
    const plain = { add_special_tokens: false };
    const ids = pieces.flatMap((piece) => this.#tokenizer.encode(piece, plain).ids);
    return this.#idsOf('messages', pieces.join(''), ids);
  }

  /** Texts of special tokens, as they are found in a text. */
  get special(): string[] {
    const added = [...this.#tokenizer.get_added_tokens_decoder().values()];
    return added.filter(({ special }) => special).map(({ content }) => content);
  }

  #idsOf(field: string, text: string, ids: readonly (number | null | undefined)[]): number[] {
    // Characters without a token, where the tokenizer has none for the unknown either.
    if (!ids.every((id): id is number => Number.isInteger(id)))
      throw invalid('INPUT_TEXT', field, text, 'characters that the tokenizer has tokens for');
    if (ids.length === 0) throw invalid('INPUT_TEXT', field, text, 'text that has tokens');
    return [...ids];
  }

  /**
   * Text of ids, without special tokens. Graphs have scores for more ids than the tokenizer has tokens: those are
   * without text, too.
   */
  readonly decode = (ids: readonly number[]): string => {
    const known = ids.filter((id) => this.#known.has(id));
    // The library throws for none.
    if (known.length === 0) return '';
    return this.#tokenizer.decode(known, {
      skip_special_tokens: true,
      // It would take away spaces that were given already.
      clean_up_tokenization_spaces: false,
    });
  };
}

/** How many of the tokens around a text stand before it. */
function frontOf(around: number, tokenizer: Library): number {
  const [text] = tokenizer.encode('a', { add_special_tokens: false }).ids;
  const front = tokenizer.encode('a').ids.indexOf(text);
  return Math.min(around, Math.max(0, front));
}
