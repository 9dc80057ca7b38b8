/** Whose call it is: of the author's loop, or of a command's handler that runs within one of these. */
export interface Scope {
  readonly nested: boolean;
  /** Calls so far. A handler's all belong to the loop's call that it runs in: this tells them apart. */
  calls: number;
  busy: boolean;
  open: boolean;
}

export function scopeOf(whose: 'loop' | 'handler'): Scope {
  return { nested: whose === 'handler', calls: 0, busy: false, open: true };
}
