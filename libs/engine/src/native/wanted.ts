import type { Tensor } from 'onnxruntime-node';
import type { Fetches, Tensors } from '../graphs/graph-session';

/** An output, and where it is written; null: in a new tensor. */
export type Wanted = readonly [name: string, tensor: Tensor | null];

/** What a run reads and writes. */
export interface Used {
  readonly feeds: Tensors;
  readonly wanted: readonly Wanted[];
}

export function wantedOf(fetches: Fetches): readonly Wanted[] {
  return isNames(fetches) ? fetches.map((name): Wanted => [name, null]) : Object.entries(fetches);
}

function isNames(fetches: Fetches): fetches is readonly string[] {
  return Array.isArray(fetches);
}
