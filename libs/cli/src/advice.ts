import { CabstandError } from '@cabstand/core';
import type { Reason } from '@cabstand/core';
import type { ConnectProblem } from '@cabstand/rpc';

const ADVICE: Partial<Record<Reason, string>> = {
  ROUTER_UNREACHABLE:
    'Is the subnet up? Start one with `cabstand up`, or name its router with --router HOST:PORT.',
  NODE_UNREACHABLE: 'See `cabstand nodes` for the hosters that are up.',
  NO_NODE: 'See `cabstand nodes` for hosters, their models and their free slots.',
  MODEL_NOT_HERE: 'See `cabstand nodes` for the models of each hoster.',
  COMMAND_UNKNOWN: 'See `cabstand info --model NAME` for the commands of a module.',
  COMMAND_INVALID: 'See `cabstand info --model NAME` for the arguments of each command.',
  COMMAND_FAILED: 'The session goes on; what the module threw is in the log of its hoster.',
  SESSION_UNKNOWN:
    'Sessions end, and are seen by the principal that opened them: pass its --credentials or --key. One that is not durable is found with --hoster only.',
  MODEL_UNKNOWN: 'See `cabstand info` for the models of the subnet.',
  HOSTER_FULL: 'All slots are taken: try again, or start another hoster.',
  RATE_LIMITED: 'Call less often, or raise the limit in the configuration of the service.',
  CREDENTIALS_MISSING:
    'Pass --credentials DIR (made by `cabstand keys init`) or set CABSTAND_CREDENTIALS.',
  UNAUTHENTICATED: 'Check --credentials, --token or --key: the subnet does not know them.',
  CREDENTIALS_EXPIRED: 'Make a new token with `cabstand keys token`.',
  CREDENTIALS_AUDIENCE:
    'The token is for other servers: make one with `cabstand keys token NAME --audience HOST:PORT`, or use a key.',
  KEY_UNKNOWN:
    'A new key? Copy keys.json of the folder where it was made to every router and hoster; they read it within 5 s.\n' +
    '  An old one? Copy the newest NAME.key.json here: `cabstand keys show` lists the keys that are good.',
  CLOCK_SKEW: 'Set the clock of this machine (NTP); `cabstand doctor` shows the difference.',
  PERMISSION_DENIED: 'This needs other credentials: `cabstand keys show` tells the roles of yours.',
  MESSAGE_TOO_LARGE:
    'Send the input in smaller parts, or raise rpc.max_message_bytes of the hosters and --max-message-bytes here.',
  UNIMPLEMENTED: 'The service does not do this (yet); its version is in `cabstand info`.',
};

const SEE_KEYS = '`cabstand keys show --out DIR` shows certificates, their names and their ends';

/** Where the message says what is wrong with a connection, the flags that mend it. */
const CONNECTION: Record<ConnectProblem, string> = {
  certificate_wanted:
    'Pass --credentials DIR with a certificate in DIR/tls (client.crt, or NAME.crt with --key DIR/NAME.key.json); `cabstand keys cert NAME` makes one.',
  certificate_refused: `The certificate in the folder of --credentials is used: ${SEE_KEYS}.`,
  closed_at_once: `The certificate in the folder of --credentials is used: ${SEE_KEYS}.`,
  no_tls_there: 'Leave --tls away and unset CABSTAND_TLS, or correct --router.',
  tls_there: 'Pass --tls --credentials DIR, or set CABSTAND_TLS=1; DIR is made by `cabstand keys`.',
  server_expired: `${SEE_KEYS}.`,
  server_early: 'Set the clocks of both machines (NTP).',
  server_name: `${SEE_KEYS}.`,
  server_unknown:
    'Pass --credentials DIR with the folder of this subnet: DIR/tls/ca.crt has to be its authority.',
  no_grpc_there: 'Name the port for gRPC with --router HOST:PORT, not the one for /metrics.',
  no_address: 'Correct --router or CABSTAND_ROUTERS.',
};

/** What to do about a connection that does not come up, if that is the error and its cause is known. */
export function connectionAdvice(error: unknown): string | undefined {
  if (!CabstandError.is(error)) return undefined;
  const problem = error.metadata['connection'];
  return Object.entries(CONNECTION).find(([name]) => name === problem)?.[1];
}

/** What to do about an error, if there is something to say. */
export function adviceOn(error: CabstandError): string | undefined {
  const connection = connectionAdvice(error);
  if (connection !== undefined) return connection;
  const { reason, metadata } = error;
  // Tokens have no key id.
  if (reason === 'CREDENTIALS_EXPIRED' && metadata['key_id'] !== undefined)
    return 'Copy the newest NAME.key.json here, or make it with `cabstand keys rotate NAME`.';
  if (reason === 'NODE_BAD_REPLY' && metadata['problem'] === 'keys_outdated')
    return 'Copy keys.json of the folder where `cabstand keys` was run last into the folder of --credentials.';
  if (reason === 'NODE_BAD_REPLY' && metadata['problem'] === 'unsigned')
    return (
      'Was the subnet started without keys (`cabstand up --no-auth`)? Call it with --no-auth.\n' +
      '  Otherwise something else answers at this address: correct --router or --hoster.'
    );
  const { address = '' } = metadata;
  if (metadata['not_a'] === 'router')
    return `Is it a hoster? \`cabstand info --hoster ${address}\` asks one. Name a router with --router HOST:PORT.`;
  if (metadata['not_a'] === 'hoster')
    return `Is it a router? \`cabstand nodes --router ${address}\` lists its hosters, with their addresses.`;
  return goldenAdvice(error) ?? ADVICE[reason];
}

/** Where a model contradicts its golden data: weights that were trained anew always do. */
export function goldenAdvice({ reason, metadata }: CabstandError): string | undefined {
  if (reason !== 'VERIFICATION_FAILED' || metadata['reference'] !== 'golden') return undefined;
  return (
    'Either the model is wrong, or its golden data are answers of earlier weights:\n' +
    '  `cabstand model golden NAME --renew` computes their outputs anew.'
  );
}
