/**
 * @mlc-ai/web-xgrammar: what tokens a grammar allows next. It is text for browsers in a package for modules, which
 * neither `import` nor `require` loads: it is compiled as CommonJS. Anything that it refuses aborts its WebAssembly, so
 * it is loaded anew then, and writes its reason to the console, where that is caught.
 */
import { readFileSync } from 'node:fs';
import Module from 'node:module';

export interface Compiled {
  dispose(): void;
}

export interface Matcher {
  acceptToken(id: number): boolean;
  getNextTokenBitmask(): Promise<Int32Array>;
  dispose(): void;
}

interface Compiler {
  compileJSONSchema(
    schema: string,
    anyWhitespace: boolean,
    indent: undefined,
    separators: undefined,
    strict: boolean,
    mostWhitespace: number,
  ): Promise<Compiled>;
  compileGrammar(ebnf: string): Promise<Compiled>;
  compileStructuralTag(tag: object): Promise<Compiled>;
}

interface Library {
  readonly TokenizerInfo: {
    createTokenizerInfo(
      tokens: readonly string[],
      type: string,
      prependSpace: boolean,
      size: number,
      ends: readonly number[],
    ): Promise<object>;
  };
  readonly GrammarCompiler: {
    createGrammarCompiler(info: object, cache: boolean): Promise<Compiler>;
  };
  readonly GrammarMatcher: { createGrammarMatcher(compiled: Compiled): Promise<Matcher> };
}

/** Tokens by id; empty for ids that are no text: special ones, and those that the tokenizer does not have. */
export interface GuideVocabulary {
  readonly tokens: readonly string[];
  /** How they are written: with letters for bytes as GPT-2, or with bytes as `<0x0A>` as SentencePiece. */
  readonly type: 'byte_level' | 'byte_fallback';
  /** Each of them may end a text that is complete. */
  readonly ends: readonly number[];
}

export interface LoadedLibrary {
  readonly compiler: Compiler;
  readonly matcher: (compiled: Compiled) => Promise<Matcher>;
  /** Why it aborted. */
  readonly reason: () => string;
}

/** Bytes of its memory: a grammar that needs more is refused. */
const MOST_MEMORY = 512 * 1024 * 1024;
const PAGE = 65_536;
const FATAL = /\[FATAL\] [^ ]*: (.*)/s;

export async function loadLibrary(vocabulary: GuideVocabulary): Promise<LoadedLibrary> {
  const said: string[] = [];
  const { tokens, type, ends } = vocabulary;
  const { console } = globalThis;
  const shown = console.error.bind(console);
  // It keeps what the console is now. Nobody else writes there in this thread.
  console.error = (...parts: unknown[]) => said.push(parts.join(' '));
  try {
    const { TokenizerInfo, GrammarCompiler, GrammarMatcher } = freshLibrary();
    const info = await TokenizerInfo.createTokenizerInfo(tokens, type, false, tokens.length, ends);
    const compiler = await GrammarCompiler.createGrammarCompiler(info, false);
    return {
      compiler,
      matcher: (compiled) => GrammarMatcher.createGrammarMatcher(compiled),
      reason: () =>
        said.map((line) => FATAL.exec(line)?.[1]).find((one) => one !== undefined) ?? '',
    };
  } finally {
    console.error = shown;
  }
}

let source: { readonly file: string; readonly text: string } | undefined;

function freshLibrary(): Library {
  limitMemory();
  if (source === undefined) {
    const file = require.resolve('@mlc-ai/web-xgrammar');
    source = { file, text: readFileSync(file, 'utf8') };
  }
  // Not in the types of Node, but what `require` itself calls.
  const made = new Module(source.file) as Module & { _compile(text: string, file: string): void };
  made._compile(source.text, source.file);
  return made.exports as Library;
}

/** As far as it is used here: the types of Node have none of it. */
interface Memory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

const { WebAssembly } = globalThis as unknown as {
  readonly WebAssembly: { readonly Memory: { readonly prototype: Memory } };
};
let limited = false;

/** Its allocator fails where memory cannot grow, and it aborts: as for anything else that it refuses. */
function limitMemory(): void {
  if (limited) return;
  limited = true;
  const { prototype } = WebAssembly.Memory;
  const grow: Memory['grow'] = Reflect.get<Memory, 'grow'>(prototype, 'grow');
  prototype.grow = function (this: Memory, pages: number): number {
    if (this.buffer.byteLength + pages * PAGE > MOST_MEMORY)
      throw new RangeError(`a grammar may take ${MOST_MEMORY} bytes at most`);
    return grow.call(this, pages);
  };
}
