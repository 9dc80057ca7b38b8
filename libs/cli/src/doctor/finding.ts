/** What a check found. */
export interface Finding {
  readonly status: 'ok' | 'warn' | 'fail';
  /** What was looked at, a word or two. */
  readonly name: string;
  readonly message: string;
  /** What to do about it. */
  readonly advice?: string;
}

export const ok = (name: string, message: string): Finding => ({ status: 'ok', name, message });

export const warn = (name: string, message: string, advice: string): Finding => ({
  status: 'warn',
  name,
  message,
  advice,
});

export const fail = (name: string, message: string, advice: string): Finding => ({
  status: 'fail',
  name,
  message,
  advice,
});

/** All lines of it. */
export function allOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The first line of it. */
export function messageOf(error: unknown): string {
  const text = allOf(error);
  return text.split('\n')[0] ?? text;
}
