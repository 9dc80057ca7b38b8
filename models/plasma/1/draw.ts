/** Pictures from a formula: sums of sines, as demos of the 1980s drew them. */

type Colour = readonly [red: number, green: number, blue: number];

/** Colours that follow one another in a circle. */
const PALETTES: Readonly<Record<string, readonly Colour[]>> = {
  fire: [
    [8, 0, 0],
    [150, 16, 0],
    [255, 110, 0],
    [255, 230, 90],
    [150, 16, 0],
  ],
  ocean: [
    [0, 8, 32],
    [0, 60, 120],
    [0, 150, 180],
    [190, 245, 255],
    [0, 60, 120],
  ],
  forest: [
    [6, 18, 6],
    [20, 80, 30],
    [110, 150, 30],
    [220, 230, 130],
    [20, 80, 30],
  ],
  neon: [
    [255, 0, 128],
    [64, 0, 255],
    [0, 220, 255],
    [0, 255, 120],
    [255, 220, 0],
  ],
  grey: [
    [0, 0, 0],
    [128, 128, 128],
    [255, 255, 255],
    [128, 128, 128],
  ],
};

/** Height of the waves at a place, in turns of the palette; the picture's middle is (0, 0), its height 2. */
type Pattern = (x: number, y: number, time: number, phase: number) => number;

const PATTERNS: Readonly<Record<string, Pattern>> = {
  waves: (x, y, time, phase) =>
    (Math.sin(3 * x + time + phase) +
      Math.sin(4 * y - 0.7 * time + 2 * phase) +
      Math.sin(3 * (x + y) + 0.5 * time) +
      Math.sin(5 * Math.hypot(x + Math.sin(time / 3), y + Math.cos(time / 2)))) /
    4,
  rings: (x, y, time, phase) =>
    Math.hypot(x + 0.5 * Math.sin(time / 2 + phase), y + 0.4 * Math.cos(time / 3)) * 1.2 - time / 4,
  spiral: (x, y, time, phase) =>
    Math.atan2(y, x) / Math.PI + Math.log(0.1 + Math.hypot(x, y)) - (time + phase) / 4,
};

export interface Scene {
  readonly palette: readonly Colour[];
  readonly pattern: Pattern;
  /** Where the waves begin, in radians. */
  readonly phase: number;
}

/**
 * The scene that a prompt describes: the last words of it that name colours or a pattern. Other words
 * choose both, the same ones each time.
 */
export function sceneOf(prompt: string, seed: number): Scene {
  const words = prompt.toLowerCase().match(/[a-z]+/g) ?? [];
  return {
    palette: named(PALETTES, words),
    pattern: named(PATTERNS, words),
    phase: (mixed(seed) / 2 ** 32) * 2 * Math.PI,
  };
}

function named<T>(table: Readonly<Record<string, T>>, words: readonly string[]): T {
  const names = Object.keys(table);
  const word = words.findLast((one) => Object.hasOwn(table, one));
  const sum = hashOf(words.join(' '));
  const value = table[word ?? names[sum % names.length] ?? ''];
  if (value === undefined) throw new RangeError('an empty table');
  return value;
}

function hashOf(text: string): number {
  let hash = 0;
  for (let at = 0; at < text.length; at += 1)
    hash = (Math.imul(hash, 31) + text.charCodeAt(at)) >>> 0;
  return hash;
}

/** Seeds that are neighbours begin far apart. */
function mixed(seed: number): number {
  const once = Math.imul(seed ^ (seed >>> 16), 0x45d9f3b);
  return (once ^ (once >>> 16)) >>> 0;
}

/**
 * Draws one picture over the last.
 *
 * @param pixels RGB of `height` rows from the top.
 * @param time in seconds.
 */
export function draw(
  pixels: Uint8Array,
  width: number,
  height: number,
  time: number,
  { palette, pattern, phase }: Scene,
): void {
  let at = 0;
  for (let row = 0; row < height; row += 1)
    for (let column = 0; column < width; column += 1) {
      const x = (2 * column - width) / height;
      const y = (2 * row - height) / height;
      const turns = pattern(x, y, time, phase);
      const place = (turns - Math.floor(turns)) * palette.length;
      const from = palette[Math.floor(place) % palette.length] ?? [0, 0, 0];
      const to = palette[(Math.floor(place) + 1) % palette.length] ?? from;
      const share = place - Math.floor(place);
      for (const channel of [0, 1, 2] as const)
        pixels[at++] = Math.round(from[channel] + (to[channel] - from[channel]) * share);
    }
}
