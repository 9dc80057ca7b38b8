/** What users name. For those who implement or pass on the protocol: `@cabstand/client/protocol`. */
export { connect } from './connect';
export type { Cabstand, ConnectOptions } from './connect';
export { keyFile, token, tokenFile } from './auth';

export { RemoteManager } from './remote/manager';
export type { RemoteManagerOptions } from './remote/options';
export type { HosterInfo } from './remote/info';
export type { RemoteNode } from './remote/types';

export { SessionManager } from './session/manager';
export type { SessionManagerOptions } from './session/manager';
export type { LiveOptions, SessionOptions, TurnOptions } from './session/options';
export type { Session } from './session/session';
export type { SessionView } from './session/view';
export type { MessageNotice, ModuleNotice, SessionEvents } from './session/events';
export type { LiveTurn } from './session/live-turn';
export type { Generation } from './protocol/events';
export type { Chunk, TurnResult } from './session/chunk';
export type { GenerateOptions, GeneratedToken } from './session/generate';
export type { TensorInput } from './session/input';

export { arrayOf, numbersOf, stringTensor, tensorFrom, tensorOf } from '@cabstand/tensor';
export type { DType, Tensor } from '@cabstand/tensor';
export { CabstandError } from '@cabstand/core';
export type { Reason } from '@cabstand/core';
export { channelCredentials } from '@cabstand/auth';
export type { Authorizer } from '@cabstand/rpc';
