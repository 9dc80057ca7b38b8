import { modelNameOf } from '@cabstand/model';
import { UsageError } from '../errors';

const LONGEST = 64;
const PATTERN = /^[a-z0-9][a-z0-9._-]{0,63}$/;

/** Whether callers can use it as a model's name. */
export function isModelName(name: string): boolean {
  return PATTERN.test(name);
}

/** The name that a file or folder gives a model: `ResNet 50 (v2)` becomes `resnet-50-v2`. */
export function modelName(text: string): string {
  const name = modelNameOf(text)
    .replace(/-+/g, '-')
    .replace(/[-.]+$/, '');
  return name === '' ? 'model' : name;
}

/** Throws a UsageError for a name that callers could not use. */
export function requireModelName(name: string): string {
  if (isModelName(name)) return name;
  throw new UsageError(
    `${name} is no name for a model`,
    `Letters a-z, digits, ".", "_" and "-", at most ${LONGEST}, such as ${modelName(name)}.`,
  );
}
