import { jsonLine } from '../render/json';
import type { Finding } from './finding';

/** Grows with each change that a reader of `--json` could stumble over; members may be added without. */
const FORMAT = 1;

/** A finding for programs; docs/operations/watching.md describes the members. */
export function findingJson({ status, name, message, advice }: Finding): string {
  const [check = '', ...rest] = name.split(' ');
  const subject = rest.length === 0 ? null : rest.join(' ');
  return jsonLine({
    format: FORMAT,
    status,
    check,
    subject,
    name,
    message,
    advice: advice ?? null,
  });
}
