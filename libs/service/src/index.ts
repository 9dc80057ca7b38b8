export { loadConfig, redact } from './config/load';
export type { ConfigInput, ConfigProgram, LoadedConfig } from './config/load';
export {
  addressSchema,
  auditSection,
  commonSections,
  inferenceSection,
  logSchema,
} from './config/sections';
export { createLogger } from './log';
export type { LogFormat, Logger, LoggerOptions } from './log';
export { prettyLine } from './log-pretty';
export { Metrics } from './metrics/metrics';
export { packageVersion } from './package-version';
export type { Build } from './metrics/metrics';
export { certificateExpiry, retiredKeyUse } from './metrics/expiry';
export { namesOf } from './metrics/labels';
export type { Subjects } from './metrics/subjects';
export { LagMeter } from './metrics/lag';
export type { Lag } from './metrics/lag';
export { Readiness } from './readiness';
export { AdminServer } from './admin';
export type { AdminOptions, AdminPages } from './admin';
export { addHealth } from './health';
export { addReflection } from './reflection';
export { NO_AUDIT, audited, callerOf, openAuditLog } from './audit';
export type { AuditConfig, AuditEvent, AuditFacts, AuditLog } from './audit';
export { callLog } from './call-log';
export { RefusalLog } from './refusal-log';
export { toldFailure } from './told-error';
export { checkBind } from './bind';
export { serveRpc } from './serve';
export type { ServeConfig, ServeOptions, Serving } from './serve';
export { callerGone, sendAnswer } from './http/answer';
export type { HttpAnswer } from './http/answer';
export { bodyTooLarge, collectBody, parseJson } from './http/body';
export { HttpGate } from './http/gate';
export type { Entered, GateOptions } from './http/gate';
export { errorHeaders, httpStatus } from './http/statuses';
export { serveHttp } from './http-door';
export type { HttpDoor, HttpDoorParts } from './http-door';
export { Closers } from './closers';
export { ExitCode } from './exit-code';
export { exitCodeOf } from './failure';
export { runService, superviseService } from './run';
export type { ProcessLike, ServiceContext, ServiceProgram } from './run';
