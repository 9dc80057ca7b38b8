/** Names of labels, and every value that each can have. */
export type LabelValues = Readonly<Record<string, readonly string[]>>;

/** One value for each label: a series. */
export type Labels = Readonly<Record<string, string>>;

/** What a metric is called and means. */
export interface Described {
  readonly name: string;
  /** Sentences that can be understood alone: what is measured, its unit, when it goes up. */
  readonly help: string;
}

/** Every combination of the values: all series that such a metric can have. No labels: one without any. */
export function combinations(values: LabelValues): Labels[] {
  return Object.entries(values).reduce<Labels[]>(
    (all, [label, each]) =>
      all.flatMap((labels) => each.map((value) => ({ ...labels, [label]: value }))),
    [{}],
  );
}

/** The names of an exhaustive table, so that the compiler misses none: `namesOf<Fault>({ a: true })`. */
export function namesOf<T extends string>(table: Readonly<Record<T, true>>): readonly string[] {
  return Object.keys(table);
}
