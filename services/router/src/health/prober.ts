/** A node to be asked whether it is well. */
export interface ProbeTarget {
  readonly nodeId: string;
  readonly incarnation: string;
  readonly address: string;
}

/** Asks a node, from outside, whether it serves. */
export interface Prober {
  /** Resolves if the node serves; rejects with what is wrong otherwise. Obeys the signal. */
  probe(target: ProbeTarget, signal: AbortSignal): Promise<void>;
}
