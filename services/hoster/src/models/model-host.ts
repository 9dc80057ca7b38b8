/** What handlers, metrics and presence need of the models here; it knows nothing of processes. */
import type { CabstandError } from '@cabstand/core';
import type { ModelSource, ServedModel } from '@cabstand/sessions';

/** A folder of the repository that cannot be loaded: its manifest is missing or wrong. */
export interface BrokenModel {
  readonly name: string;
  readonly folder: string;
  /** Names file, key and what was expected. */
  readonly error: CabstandError;
}

/** All that is served here. */
export interface ModelHost extends ModelSource {
  /** Every model and version, loading and failed ones included. */
  models(): readonly ServedModel[];
  /** What has no manifest to serve by; `resolve` throws MODEL_FAILED for their names. */
  broken(): readonly BrokenModel[];
  /** Resolves when each load begun so far has ended, well or not. In strict mode rejects if not. */
  settled(): Promise<void>;
  /**
   * Loads a version (default: the newest) and makes it the one that takes new sessions; the version
   * before drains. Throws MODEL_NOT_HERE, MANIFEST_INVALID, VERIFICATION_FAILED, OUT_OF_MEMORY or
   * MODEL_FAILED; what served before goes on serving then.
   */
  load(model: string, version?: string): Promise<ServedModel>;
  /**
   * Version undefined: all. Resolves when freed; sessions still open at the deadline get `failed`
   * with DRAINING. Answers how many.
   */
  unload(model: string, version: string | undefined, deadlineMs: number): Promise<number>;
  stop(): Promise<void>;
}
