/** Median and quartiles, by linear interpolation between the order statistics. */
export interface Spread {
  readonly median: number;
  readonly lower: number;
  readonly upper: number;
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const below = sorted[Math.floor(at)] ?? NaN;
  const above = sorted[Math.ceil(at)] ?? NaN;
  return below + (above - below) * (at - Math.floor(at));
}

export function spread(values: readonly number[]): Spread {
  return {
    median: quantile(values, 0.5),
    lower: quantile(values, 0.25),
    upper: quantile(values, 0.75),
  };
}

/** `0.93 (0.91 to 0.95)` */
export function show({ median, lower, upper }: Spread, digits = 2): string {
  return `${format(median, digits)} (${format(lower, digits)} to ${format(upper, digits)})`;
}

export function format(value: number, digits = 2): string {
  return value.toLocaleString('en-US', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}
