/** The first place where two runs of a session are not the same, in words. */
import { arrayOf } from '@cabstand/tensor';
import type { Tensor } from '@cabstand/tensor';
import type { RecordItem } from '../frames/module-frames';
import { LATEST, TRY_EMIT } from '../kinds/module/bodies';
import { bodyOf } from './record-body';
import type { Body } from './record-body';

export interface Difference {
  /** Of the record, from 0. */
  readonly record: number;
  /** Of the author's call, from 0. */
  readonly call: number;
  /** `output image [36, 64, 3], element 5: 12 the first time, 13 the second`. */
  readonly what: string;
}

type NamedBody = Exclude<Body, { kind: 'frame' }> | { readonly kind: 'frame' };

/** A text of two runs is shown up to here. */
const SHOWN = 120;

/**
 * Compares records one by one, as far as both have some.
 *
 * @param offset number of the first of `again` in `first`
 * @param floats compare the elements of floats too
 */
export function firstDifference(
  first: readonly RecordItem[],
  again: readonly RecordItem[],
  offset: number,
  floats: boolean,
): Difference | undefined {
  for (const [index, record] of again.entries()) {
    const before = first[offset + index];
    if (before === undefined) return undefined;
    if (before.field === record.field && before.body.equals(record.body)) continue;
    const what = differenceOf(bodyOf(before), bodyOf(record), floats);
    if (what !== undefined) return { record: offset + index, call: before.point, what };
  }
  return undefined;
}

function differenceOf(before: Body, now: Body, floats: boolean): string | undefined {
  if (before.kind !== now.kind)
    return `${nameOf(before)} the first time, ${nameOf(now)} the second`;
  if (before.kind !== 'frame' || now.kind !== 'frame')
    return texts(nameOf(before), JSON.stringify(before), JSON.stringify(now));
  const names = new Set([...before.chunk.outputs, ...now.chunk.outputs].map(({ name }) => name));
  for (const name of names) {
    const pick = (body: typeof before): Tensor | undefined =>
      body.chunk.outputs.find((output) => output.name === name);
    const what = tensorDifference(name, pick(before), pick(now), floats);
    if (what !== undefined) return what;
  }
  return before.chunk.text === now.chunk.text
    ? undefined
    : texts('text', before.chunk.text, now.chunk.text);
}

function tensorDifference(
  name: string,
  before: Tensor | undefined,
  now: Tensor | undefined,
  floats: boolean,
): string | undefined {
  const shapeOf = (tensor: Tensor | undefined): string =>
    tensor === undefined ? 'not there' : `${tensor.dtype} [${tensor.shape.join(', ')}]`;
  const [shape, other] = [shapeOf(before), shapeOf(now)];
  if (shape !== other) return `output ${name}: ${shape} the first time, ${other} the second`;
  if (before === undefined || now === undefined) return undefined;
  if (!floats && before.dtype.includes('float')) return undefined;
  if (Buffer.from(before.data).equals(Buffer.from(now.data)) && before.strings === now.strings)
    return undefined;
  const [a, b] = [before, now].map((tensor) => tensor.strings ?? arrayOf(tensor));
  for (let index = 0; index < (a?.length ?? 0); index += 1)
    if (!Object.is(a?.[index], b?.[index]))
      return `output ${name} ${shape}, element ${index}: ${String(a?.[index])} the first time, ${String(b?.[index])} the second`;
  return undefined;
}

/** Values that the runtime records itself, so that calls are answered the same a second time. */
const MARKS: Readonly<Record<string, string>> = {
  [TRY_EMIT]: 'a frame of tryEmit',
  [LATEST]: 'how much of the live input a handler was given',
};

/** A record, to whoever reads of it. */
export function nameOf(body: NamedBody): string {
  switch (body.kind) {
    case 'frame':
      return 'a frame';
    case 'command':
      return `command ${body.name}`;
    case 'part':
      return `part ${body.part} of the live input`;
    case 'message':
      return `message ${body.name}`;
    case 'value':
      return MARKS[body.name] ?? `recorded value ${body.name}`;
    case 'result':
    case 'refused':
      return `result of command ${body.number}`;
  }
}

/** Where two texts are not the same; undefined where they are. */
export function texts(what: string, before: string, now: string): string | undefined {
  if (before === now) return undefined;
  let at = 0;
  while (before[at] === now[at]) at += 1;
  const shown = (text: string): string => {
    const from = Math.max(0, at - SHOWN / 2);
    return `${from > 0 ? '…' : ''}${text.slice(from, from + SHOWN)}`;
  };
  return `${what}: ${shown(before)} the first time, ${shown(now)} the second`;
}
