/** Which output is, by its name, the next of which input. */

/** Words that tell an input's or an output's place in time, and not what it is. */
const BEFORE = new Set([
  'in',
  'input',
  'past',
  'prev',
  'previous',
  'old',
  'last',
  'init',
  'initial',
]);
const AFTER = new Set(['out', 'output', 'n', 'next', 'new', 'present', 'updated', 'final']);

/** What models call their state. */
// prettier-ignore
const STATE = new Set([
  'state', 'states', 'h', 'c', 'hx', 'cx', 'hidden', 'cell', 'cache', 'caches', 'memory', 'mem', 'rnn', 'lstm',
  'gru', 'buffer', 'carry', 'kv',
]);

export interface NameMatch {
  /** The names say state; otherwise they only look alike. */
  readonly certain: boolean;
}

/** Undefined where the output's name is not that of the input, some time later. */
export function matchNames(input: string, output: string): NameMatch | undefined {
  const before = stemOf(input, BEFORE);
  const after = stemOf(output, AFTER);
  // Without such a word nothing tells before from after.
  if (!before.marked && !after.marked) return undefined;
  if (before.stem.join(' ') !== after.stem.join(' ')) return undefined;
  const timed = before.marked && after.marked && (isPast(input) || isPresent(output));
  // `input` and `output`.
  if (before.stem.length === 0 && !timed) return undefined;
  // What transformers call hidden states goes on from layer to layer.
  const layers = before.stem.join(' ').includes('hidden states');
  return { certain: !layers && (timed || before.stem.some((word) => STATE.has(word))) };
}

function isPast(name: string): boolean {
  return wordsOf(name).some((word) => word.startsWith('prev') || word === 'past');
}

function isPresent(name: string): boolean {
  return wordsOf(name).some((word) => word === 'present' || word === 'next');
}

function stemOf(name: string, markers: ReadonlySet<string>): { stem: string[]; marked: boolean } {
  const words = wordsOf(name);
  const stem = words.filter((word) => !markers.has(word));
  // PyTorch's documentation calls the state before a sequence h_0 and the one after it h_n.
  if (markers === BEFORE && /^[hc]x?$/.test(stem[0] ?? '') && stem[1] === '0' && stem.length === 2)
    return { stem: stem.slice(0, 1), marked: true };
  return { stem, marked: stem.length < words.length };
}

/** `past_key_values.0.key` and `present.0.key`, `stateN` and `hn` in words. */
function wordsOf(name: string): string[] {
  return name
    .replace(/(past|present)_key_values?/i, '$1')
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/([A-Za-z])(\d)/g, '$1 $2')
    .toLowerCase()
    .replace(/\b([hc])n\b/g, '$1 n')
    .split(/[^a-z0-9]+/)
    .filter((word) => word !== '');
}
