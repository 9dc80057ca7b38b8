/** Why a service is not ready, by what is missing. Ready when nothing is. */
export class Readiness {
  readonly #reasons = new Map<string, string>();
  readonly #listeners = new Set<() => void>();

  get ready(): boolean {
    return this.#reasons.size === 0;
  }

  /** What is missing: name → sentence. */
  get reasons(): Readonly<Record<string, string>> {
    return Object.fromEntries(this.#reasons);
  }

  /** Says that `what` keeps the service from being ready. Names are few and fixed in code. */
  missing(what: string, why: string): void {
    if (this.#reasons.get(what) === why) return;
    this.#reasons.set(what, why);
    this.#tell();
  }

  /** Says that `what` is no longer missing. */
  present(what: string): void {
    if (this.#reasons.delete(what)) this.#tell();
  }

  /** Calls back after every change. Returns the function that ends it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
