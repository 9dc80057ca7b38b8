/** Names of tensors and dimensions in ONNX files → names that callers use. */

const LONGEST = 64;
const NAME = /^[A-Za-z_][A-Za-z0-9_.-]{0,63}$/;

export function isPublicName(name: string): boolean {
  return NAME.test(name);
}

/** Other characters become `_`, a digit in front gets one before it, and no name is `__proto__`. May be a name that is taken. */
export function publicName(name: string): string {
  const cleaned = name.replace(/[^A-Za-z0-9_.-]/g, '_').replace(/^__proto__$/, 'proto');
  return (/^[A-Za-z_]/.test(cleaned) ? cleaned : `_${cleaned}`).slice(0, LONGEST);
}

/** Public names of one kind, each given to one name of the files. */
export class PublicNames {
  readonly #given = new Map<string, string>();
  readonly #taken = new Set<string>();

  /** What the manifest says. */
  set(name: string, given: string): void {
    if (!this.#given.has(name)) this.#given.set(name, given);
    this.#taken.add(given);
  }

  /** The same for the same name; `_2`, `_3` … tell those apart that would be equal. */
  of(name: string): string {
    const known = this.#given.get(name);
    if (known !== undefined) return known;
    const unique = this.unique(name);
    this.set(name, unique);
    return unique;
  }

  /** A name that nobody has, for one that may come twice. */
  unique(name: string): string {
    const cleaned = publicName(name);
    let unique = cleaned;
    for (let number = 2; this.#taken.has(unique); number += 1) {
      const suffix = `_${number}`;
      unique = cleaned.slice(0, LONGEST - suffix.length) + suffix;
    }
    this.#taken.add(unique);
    return unique;
  }
}
