/** Which cases of the official clients are run, and why the others are not. */

/** Of both clients. */
const CASES = [
  'empty_unary',
  'large_unary',
  'client_streaming',
  'server_streaming',
  'ping_pong',
  'empty_stream',
  'custom_metadata',
  'status_code_and_message',
  'special_status_message',
  'unimplemented_method',
  'unimplemented_service',
  'cancel_after_begin',
  'cancel_after_first_response',
  'timeout_on_sleeping_server',
] as const;

/** Of one client only: requests that are compressed, where the server need not tell which are, and one of 10 MiB. */
export const ALSO = {
  go: [],
  java: [
    'client_compressed_unary_noprobe',
    'client_compressed_streaming_noprobe',
    'very_large_request',
  ],
} as const;

/** These again with TLS. */
export const WITH_TLS = ['empty_unary', 'large_unary', 'ping_pong'] as const;

/** What may end before the server sees a call, or asks for a service that it does not have. */
export const UNSEEN: ReadonlySet<string> = new Set([
  'unimplemented_service',
  'cancel_after_begin',
  'timeout_on_sleeping_server',
]);

const GOOGLE = 'needs credentials of Google';
const ORCA = 'the server sends no load reports';
const UNTOLD = 'handlers are not told whether a request was compressed';
const UNCOMPRESSED = 'the server does not compress answers, which this client would not notice';

const NOT_RUN: Readonly<Record<string, string>> = {
  compute_engine_creds: GOOGLE,
  compute_engine_channel_credentials: GOOGLE,
  service_account_creds: GOOGLE,
  jwt_token_creds: GOOGLE,
  per_rpc_creds: GOOGLE,
  oauth2_auth_token: GOOGLE,
  google_default_credentials: GOOGLE,
  pick_first_unary: 'needs several servers behind one name: it is about the client',
  orca_per_rpc: ORCA,
  orca_oob: ORCA,
  cacheable_unary: 'needs a proxy that caches answers to GET',
  client_compressed_unary: UNTOLD,
  client_compressed_streaming: UNTOLD,
  server_compressed_unary: UNCOMPRESSED,
  server_compressed_streaming: UNCOMPRESSED,
  rpc_soak: 'fails by latency, which says nothing on a busy machine',
  channel_soak: 'fails by latency, which says nothing on a busy machine',
};

export interface Sorted {
  readonly run: readonly string[];
  readonly notRun: readonly { readonly name: string; readonly why: string }[];
  /** Offered by the client, and neither run nor explained here; or the other way round. */
  readonly unknown: readonly string[];
}

/** @param help what the client says of itself, with a line for each case, `empty_unary : what it is` */
export function sort(help: string, also: readonly string[]): Sorted {
  // From their heading to the next option.
  const lines = /alid options.*:\n([^]*?)^ *-/m.exec(help)?.[1] ?? '';
  const offered = [...lines.matchAll(/^\s+(\w+)\s*: /gm)].map(([, name]) => name ?? '');
  const run = [...CASES, ...also];
  return {
    run,
    notRun: offered.flatMap((name) => {
      const why = NOT_RUN[name];
      return why === undefined ? [] : [{ name, why }];
    }),
    unknown: [
      ...offered.filter((name) => !run.includes(name) && NOT_RUN[name] === undefined),
      ...run.filter((name) => !offered.includes(name)),
    ],
  };
}
