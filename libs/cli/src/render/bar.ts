const EIGHTHS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/** One character for a probability. */
export function level(value: number): string {
  if (!Number.isFinite(value)) return '?';
  const step = Math.min(EIGHTHS.length - 1, Math.max(0, Math.floor(value * EIGHTHS.length)));
  return EIGHTHS[step] ?? '?';
}

/** A bar of `width` characters, filled in proportion. */
export function bar(value: number, width: number): string {
  const filled = Number.isFinite(value) ? Math.round(Math.min(1, Math.max(0, value)) * width) : 0;
  return '█'.repeat(filled) + '░'.repeat(width - filled);
}
