/** The normalised manifest: complete, checked, with every default filled in. See docs/adding-a-model.md. */
import type { ModelProgram } from './program';
import type { ModelSignature } from './signature';

export interface Manifest extends ModelSignature, ModelProgram {
  /** Folder of the model. */
  readonly folder: string;
  /** Path of model.yaml, as errors name it. There may be none. */
  readonly file: string;
  /** The variant of model.yaml that this is; undefined for the model itself. */
  readonly variant: string | undefined;
  /** What was left out or taken for granted; none of it is an error. */
  readonly notes: readonly string[];
  /** Where the weights came from, as far as that is known. */
  readonly provenance: Provenance;
}

export interface Provenance {
  readonly source?: string | undefined;
  readonly version?: string | undefined;
  readonly digest?: string | undefined;
  readonly licence?: string | undefined;
  readonly script?: string | undefined;
}
