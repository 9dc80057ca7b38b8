/** Closes what was opened, the newest first. */
export class Scope implements AsyncDisposable {
  readonly #closers: (() => Promise<void> | void)[] = [];

  use<T extends AsyncDisposable>(opened: T): T {
    this.defer(async () => await opened[Symbol.asyncDispose]());
    return opened;
  }

  defer(close: () => Promise<void> | void): void {
    this.#closers.push(close);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close();
  }
}
