export { ROLES } from './principal';
export type { Principal, Role } from './principal';
export { REASONS, BARE_STATUS, Code, isReason } from './reasons';
export type { CodeName, ErrorClass, Reason } from './reasons';
export { CabstandError, brief, invalid, isOutOfDescriptors, show, toReason } from './errors';
export type { CabstandErrorOptions } from './errors';
export { nearest } from './nearest';
export { MOST_JSON_DEPTH, nestsDeeper } from './json-depth';
export {
  bytesHead,
  fieldSize,
  varint,
  varintField,
  varintSize,
  writeField,
  writeHead,
  writeVarint,
} from './protobuf';
export { checkOptions } from './options';
export type { NamesOf, OptionNames } from './options';
export { MIB, MOST_BYTES, MOST_COUNT, MOST_MS, withinLimits } from './limits';
export type { Limit } from './limits';
export { systemClock, every } from './clock';
export type { Clock, Timer } from './clock';
export { FakeClock } from './fake-clock';
export { abortable, abortableBy, abortReason, linkSignals, sleep, throwIfAborted } from './signals';
export type { LinkedSignal } from './signals';
export { backoffDelay } from './backoff';
export type { BackoffOptions } from './backoff';
export { BoundedMap } from './bounded';
export { breathe } from './breathe';
export { LoopTurns } from './loop-turns';
export { LateRefusals } from './late-refusals';
export { Counts } from './counts';
export { TokenBucket } from './token-bucket';
export { ReplayLog } from './replay-log';
export type { Placed, ReplayLogLimits } from './replay-log';
