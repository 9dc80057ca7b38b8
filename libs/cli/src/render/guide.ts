import path from 'node:path';
import { subnetPaths } from '@cabstand/auth-admin';
import { addressOf, adminUrl, servicesOf } from '../subnet/layout';
import type { SubnetLayout } from '../subnet/layout';
import type { Style } from './style';
import { table } from './table';

/** The bundled model that is shown where it is there: it takes text. */
const SHOWN = 'g2p';

/**
 * How to call a local subnet from elsewhere.
 *
 * @param models names of those that are served.
 */
export function upGuide(
  places: SubnetLayout,
  auth: boolean,
  models: readonly string[],
  style: Style,
): string {
  const router = addressOf(places.router);
  const [hoster] = places.hosters;
  const cabstand = commandName();
  const flags = flagsFor(places, auth);
  const token = subnetPaths(places.keys).token('client');
  const authorization = auth ? ` -H "authorization: Bearer $(cat ${token})"` : '';
  const grpcurl = `grpcurl -plaintext${authorization} -d '{"model": "${SHOWN}", "prompt": "taxi"}' ${addressOf(places.gateway ?? hoster ?? places.router)} cabstand.v1.HosterService/rpc_inference_stream`;
  const bundled = models.includes(SHOWN);
  const commands = [
    bundled
      ? `${cabstand} infer --model ${SHOWN} --text taxi${flags}`
      : `${cabstand} infer --model ${models[0] ?? 'NAME'} --example${flags}`,
    `${cabstand} nodes --watch${flags}`,
    ...(bundled ? [grpcurl] : []),
  ];
  const facts = table([
    [style.dim('router'), router],
    [style.dim('hosters'), places.hosters.map(addressOf).join(', ')],
    ...(places.gateway === undefined
      ? []
      : [
          [
            style.dim('gateway'),
            `${addressOf(places.gateway)} (plain gRPC callers: their streams survive hosters)`,
          ],
        ]),
    ...(places.http === undefined
      ? []
      : [[style.dim('http'), `http://127.0.0.1:${places.http.port}/v1/… (browsers and curl)`]]),
    ...(auth
      ? [
          [
            style.dim('keys'),
            `${places.keys} (client.key.json to sign with, client.token for other tools)`,
          ],
        ]
      : []),
    [
      style.dim('console'),
      `${adminUrl(places.router, 'console')}${auth ? ` (sign in with the text of ${token})` : ''}`,
    ],
    [
      style.dim('metrics'),
      servicesOf(places)
        .map((service) => adminUrl(service, 'metrics'))
        .join(' '),
    ],
    [style.dim('logs'), places.logs],
    [
      style.dim('from code'),
      'README.md, docs/protocol.md: Node with @cabstand/client, any other language with proto/',
    ],
  ]);
  return `\n${style.bold('The subnet is up.')} Call it from another terminal:\n\n${commands
    .map((command) => `  ${command}\n`)
    .join('')}\n${facts}\nCtrl-C drains and stops it.\n`;
}

/** What another command has to be told, where it differs from the defaults. */
export function flagsFor(places: SubnetLayout, auth: boolean): string {
  const router = places.router.port === 50050 ? '' : ` --router ${addressOf(places.router)}`;
  const keys =
    path.normalize(places.keys) === path.join('.cabstand', 'keys') || !auth
      ? ''
      : ` --credentials ${places.keys}`;
  return router + keys + (auth ? '' : ' --no-auth');
}

/** How the user can call this program again. */
export function commandName(script = process.argv[1] ?? ''): string {
  return path.basename(script) === 'cabstand' && !script.includes('node_modules')
    ? 'cabstand'
    : 'npx cabstand';
}
