export { hosterConfigSchema } from './config';
export type { HosterConfig } from './config';
export { startHoster } from './hoster';
export { hosterProgram } from './program';
