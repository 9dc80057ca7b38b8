/**
 * Work on large content that would keep the process from others for too long in one go: it is done ahead of
 * the session, in slices, and what came of it is found again when the session asks.
 */
import { CabstandError, breathe } from '@cabstand/core';
import { scanInParts, validateLiveInput, validateTurnInput } from '@cabstand/model';
import type { Tensor } from '@cabstand/tensor';
import type { ServedModel } from '../engine/engine';
import type { PlannedTurn } from '../resume/plan';
import { digestInSlices } from './turn-digest';
import type { TurnContent } from '../types';

type Signature = ServedModel['signature'];

/** What checking found; `error` undefined: nothing. */
interface Finding {
  readonly signature: Signature;
  readonly error: CabstandError | undefined;
}

/** By a turn's content, or the tensors of a part. */
const findings = new WeakMap<object, Finding>();

/** Content of this many bytes in all is worth the detour. */
const LARGE = 128 * 1024;
/** Bytes that are looked at in one go: about two milliseconds. */
const SLICE = 512 * 1024;
/** What looking at the form of one tensor costs, in bytes. */
const FORM = 4 * 1024;

export interface AheadOptions {
  /** Of the model that the content is for, as far as that is known. */
  readonly signature: Signature | undefined;
  /** The session compares turns by their digests. */
  readonly digests: boolean;
}

/** Checks turns with their parts. Undefined where they are so small that it can wait. Never rejects. */
export function checkAhead(
  turns: readonly Pick<PlannedTurn, 'content' | 'parts'>[],
  options: AheadOptions,
): Promise<void> | undefined {
  const bytes = turns.reduce(
    (sum, { content, parts }) =>
      sum + contentBytes(content) + parts.reduce((all, part) => all + tensorBytes(part.tensors), 0),
    0,
  );
  return bytes < LARGE ? undefined : new Ahead(options).turns(turns);
}

/** The same for one part of live input. */
export function checkPartAhead(
  tensors: readonly Tensor[],
  signature: Signature,
): Promise<void> | undefined {
  if (tensorBytes(tensors) < LARGE) return undefined;
  return new Ahead({ signature, digests: false }).part(tensors);
}

/** Whether content was checked ahead against the signature. Throws what was found wrong then. */
export function wasChecked(content: object, signature: Signature): boolean {
  const finding = findings.get(content);
  if (finding?.signature !== signature) return false;
  if (finding.error !== undefined) throw finding.error;
  return true;
}

/** Content was checked against the signature, and nothing was wrong. */
export function markChecked(content: object, signature: Signature): void {
  findings.set(content, { signature, error: undefined });
}

class Ahead {
  readonly #options: AheadOptions;
  #done = 0;

  constructor(options: AheadOptions) {
    this.#options = options;
  }

  async turns(turns: readonly Pick<PlannedTurn, 'content' | 'parts'>[]): Promise<void> {
    for (const { content, parts } of turns) {
      const { signature, digests } = this.#options;
      if (signature !== undefined)
        await this.#check(content, content.tensors, signature, () =>
          validateTurnInput(signature, content, false),
        );
      for (const { tensors } of parts) await this.part(tensors);
      if (digests) await digestInSlices(content);
    }
  }

  async part(tensors: readonly Tensor[]): Promise<void> {
    const { signature } = this.#options;
    if (signature === undefined) return;
    await this.#check(tensors, tensors, signature, () =>
      validateLiveInput(signature, tensors, false),
    );
  }

  async #check(
    key: object,
    tensors: readonly Tensor[],
    signature: Signature,
    form: () => void,
  ): Promise<void> {
    let error: CabstandError | undefined;
    try {
      await this.#spend(FORM);
      form();
      for (const bytes of scanInParts(signature, tensors)) await this.#spend(bytes);
    } catch (thrown) {
      error = CabstandError.from(thrown);
    }
    findings.set(key, { signature, error });
  }

  async #spend(bytes: number): Promise<void> {
    this.#done += bytes;
    if (this.#done < SLICE) return;
    this.#done = 0;
    await breathe();
  }
}

function contentBytes({ prompt, tensors }: TurnContent): number {
  return prompt.length + tensorBytes(tensors);
}

function tensorBytes(tensors: readonly Tensor[]): number {
  let bytes = 0;
  for (const { data, strings } of tensors) {
    bytes += FORM + data.byteLength;
    for (const text of strings ?? []) bytes += text.length;
  }
  return bytes;
}
