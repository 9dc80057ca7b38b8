import { credentials as grpcCredentials } from '@grpc/grpc-js';
import type { ChannelCredentials, ChannelOptions } from '@grpc/grpc-js';
import type { Authorizer } from '../contract';
import { wholeNumber } from '../server/options';
import { namingNoAddress } from './tls-names';

export interface RpcClientKeepalive {
  /** Silence on a connection with calls before it is pinged, in milliseconds. Default 1000. */
  readonly timeMs: number;
  /**
   * Wait for the answer before the connection is given up, in milliseconds. Default 2000. A process
   * that stands still is found after both together; an application that blocks its own event loop for
   * longer than this loses connections.
   */
  readonly timeoutMs: number;
}

export interface RpcClientOptions {
  /** Default: no TLS. */
  readonly credentials?: ChannelCredentials;
  /** Signs calls and checks the server's proofs. Default: neither. */
  readonly authorizer?: Authorizer;
  /** Largest message sent or taken, in bytes. Default 16 MiB. */
  readonly maxMessageBytes?: number;
  readonly keepalive?: Partial<RpcClientKeepalive>;
  /** Longest time for a connection to come up, in milliseconds. Default 2000. */
  readonly connectTimeoutMs?: number;
  /** Received messages that wait for a slow consumer before the sender is held back. Default 64. */
  readonly maxQueuedMessages?: number;
  /** The same in bytes. Default 1 MiB. */
  readonly maxQueuedBytes?: number;
  /** Use the HTTP proxy of the environment (`grpc_proxy`, `https_proxy`, `http_proxy`). Default false. */
  readonly httpProxy?: boolean;
  /** Name to check the server's certificate against, where it is not the address. */
  readonly serverName?: string;
}

export interface RpcClientSettings {
  readonly credentials: ChannelCredentials;
  readonly authorizer: Authorizer | undefined;
  readonly connectTimeoutMs: number;
  readonly maxMessageBytes: number;
  readonly maxQueuedMessages: number;
  readonly maxQueuedBytes: number;
  readonly channel: ChannelOptions;
}

export function normalizeClientOptions(options: RpcClientOptions): RpcClientSettings {
  const { maxMessageBytes = 16 * 1024 * 1024, connectTimeoutMs = 2000 } = options;
  const { maxQueuedMessages = 64, maxQueuedBytes = 1024 * 1024 } = options;
  const { timeMs = 1000, timeoutMs = 2000 } = options.keepalive ?? {};
  wholeNumber('maxMessageBytes', maxMessageBytes);
  wholeNumber('connectTimeoutMs', connectTimeoutMs);
  wholeNumber('maxQueuedMessages', maxQueuedMessages);
  wholeNumber('maxQueuedBytes', maxQueuedBytes);
  wholeNumber('keepalive.timeMs', timeMs);
  wholeNumber('keepalive.timeoutMs', timeoutMs);
  return {
    credentials: namingNoAddress(options.credentials ?? grpcCredentials.createInsecure()),
    authorizer: options.authorizer,
    connectTimeoutMs,
    maxMessageBytes,
    maxQueuedMessages,
    maxQueuedBytes,
    channel: {
      'grpc.max_receive_message_length': maxMessageBytes,
      'grpc.max_send_message_length': maxMessageBytes,
      'grpc.keepalive_time_ms': timeMs,
      'grpc.keepalive_timeout_ms': timeoutMs,
      // Closing this client closes its connection, whoever else talks to the same address.
      'grpc.use_local_subchannel_pool': 1,
      // Retries are decided by the client library, which knows what may be repeated.
      'grpc.enable_retries': 0,
      'grpc.service_config_disable_resolution': 1,
      'grpc.enable_channelz': 0,
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 2000,
      'grpc.enable_http_proxy': options.httpProxy === true ? 1 : 0,
      ...(options.serverName === undefined
        ? {}
        : {
            'grpc.ssl_target_name_override': options.serverName,
            'grpc.default_authority': options.serverName,
          }),
    },
  };
}
