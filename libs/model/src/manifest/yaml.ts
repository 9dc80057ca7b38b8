/** YAML text → values, in a time that its size bounds: whoever serves other models does this beside them. */
import {
  Lexer,
  LineCounter,
  isCollection,
  isMap,
  isNode,
  isScalar,
  parseDocument,
  visit,
} from 'yaml';
import type { Document, YAMLMap } from 'yaml';
import { CabstandError } from '@cabstand/core';

/** Bytes of a model.yaml that are read. */
export const LARGEST_MANIFEST = 64 * 1024;
/** Marks, names and values; a manifest has some hundreds. The parser takes up to 10 µs for each. */
const MOST_TOKENS = 20_000;
/** Maps and lists within one another. */
const DEEPEST = 32;
const LONGEST_KEY = 60;

/** @throws CabstandError MANIFEST_INVALID naming line and column. */
export function parseYaml(text: string, file: string): unknown {
  checkTokens(text, file);
  const lines = new LineCounter();
  const refuse = (offset: number, what: string): CabstandError => {
    const { line, col } = lines.linePos(offset);
    return notYaml(file, `${line}:${col}`, `line ${line}`, what);
  };
  // The parser's own check of keys compares each with all others.
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    uniqueKeys: false,
    logLevel: 'error',
  });
  const [broken] = document.errors;
  if (broken !== undefined) throw refuse(broken.pos[0], broken.message);
  checkNodes(document, refuse);
  try {
    // Bounds what aliases may expand to.
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw refuse(0, CabstandError.from(error).message);
  }
}

function checkTokens(text: string, file: string): void {
  let tokens = 0;
  for (const _ of new Lexer().lex(text))
    if ((tokens += 1) > MOST_TOKENS)
      throw notYaml(file, '1:1', '(file)', `more than ${MOST_TOKENS} tokens`);
}

/** Depth, and keys: text, each once in its map. */
function checkNodes(
  document: Document.Parsed,
  refuse: (offset: number, what: string) => CabstandError,
): void {
  visit(document, {
    Collection: (_, node, path) => {
      if (path.filter((one) => isCollection(one)).length >= DEEPEST)
        throw refuse(
          node.range?.[0] ?? 0,
          `more than ${DEEPEST} maps and lists within one another`,
        );
      if (isMap(node)) checkKeys(node, refuse);
    },
  });
}

function checkKeys(map: YAMLMap, refuse: (offset: number, what: string) => CabstandError): void {
  const seen = new Set<string>();
  for (const { key } of map.items) {
    const offset = isNode(key) ? (key.range?.[0] ?? 0) : 0;
    if (isNode(key) && !isScalar(key)) throw refuse(offset, 'a key that is no text');
    const name = String(isScalar(key) ? key.value : key);
    if (seen.has(name)) {
      const cut = name.length > LONGEST_KEY ? `${name.slice(0, LONGEST_KEY)}…` : name;
      const shown = /^[\w.-]+$/.test(name) ? cut : JSON.stringify(cut);
      throw refuse(offset, `key ${shown} is there twice in one map`);
    }
    seen.add(name);
  }
}

function notYaml(file: string, where: string, field: string, what: string): CabstandError {
  return new CabstandError('MANIFEST_INVALID', `${file}:${where}: not YAML: ${what}`, {
    metadata: { file, field, expected: 'YAML' },
  });
}
