import type { inferKind } from '@cabstand/model';

type Inference = ReturnType<typeof inferKind>;

/** One line for each thing that a graph says of itself, and for each that it leaves open. */
export function findingsOf({ kind, states, rows, framing, notes }: Inference): {
  readonly inferred: string[];
  readonly open: string[];
} {
  const stateful = kind.certain && kind.value === 'stateful';
  const inferred = [
    `kind ${stateful ? 'stateful' : 'stateless'}: ${kind.reason}`,
    ...(rows.certain ? [`${stateful ? 'sessions' : 'rows'}: ${rows.reason}`] : []),
  ];
  const open = [
    ...states
      .filter((state) => !(stateful && state.certain))
      .map(
        ({ name, reason }) =>
          `${reason}: if so, write state: { ${name}: { initial: zeros } } and bind both ends of it`,
      ),
    ...(rows.certain
      ? []
      : [`${rows.reason}: to run callers together, write batch_axis for each input and output`]),
    ...(framing === undefined
      ? []
      : [`${framing.reason}: to have it cut, write framing: { input: ${framing.value.input}, … }`]),
    ...notes,
  ];
  return { inferred, open };
}
