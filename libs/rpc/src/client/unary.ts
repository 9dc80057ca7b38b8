import { CabstandError } from '@cabstand/core';
import type { MethodInfo } from '../contract';
import { Exchange } from './exchange';
import type { CallOptions, Endpoint } from './exchange';
import { badReply } from './response-stream';

/** One request, one response. */
export function unaryCall<Res>(
  endpoint: Endpoint,
  info: MethodInfo,
  body: Buffer,
  decode: (bytes: Buffer) => Res,
  options: CallOptions,
): Promise<Res> {
  return new Promise((resolve, reject) => {
    let response: Buffer | undefined;
    const exchange = new Exchange(endpoint, info, body, options, {
      accepted: () => undefined,
      restarted: () => {
        response = undefined;
      },
      message: (bytes) => {
        if (response === undefined) {
          response = bytes;
          exchange.read();
        } else exchange.cancel(new CabstandError('NODE_BAD_REPLY', 'more than one response came'));
      },
      ended: (error) => {
        if (error !== undefined) reject(error);
        else if (response === undefined)
          reject(new CabstandError('NODE_BAD_REPLY', 'the call ended without a response'));
        else
          try {
            resolve(decode(response));
          } catch (thrown) {
            reject(badReply(thrown));
          }
      },
    });
    exchange.start();
  });
}
