/** deploy/systemd without systemd: do units start what there is, as it is configured, and end it as it wants? */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { REPOSITORY_ROOT } from '@cabstand/testing';
import { isService, serviceConfig } from '../support/service-config';

const FOLDER = path.join(REPOSITORY_ROOT, 'deploy/systemd');
const INSTALLED = '/opt/cabstand/';
const SETTINGS = '/etc/cabstand/';
/** docs/operations/install.md: settings that cannot be used. */
const CONFIG_EXIT_CODE = '2';

const HARDENED = {
  NoNewPrivileges: 'yes',
  CapabilityBoundingSet: '',
  ProtectSystem: 'strict',
  ProtectHome: 'yes',
  PrivateTmp: 'yes',
  PrivateDevices: 'yes',
  RestrictNamespaces: 'yes',
  SystemCallFilter: '@system-service @pkey',
  UMask: '0077',
};

/** Keys of a unit, all sections together; those given more than once have all their values. */
function unit(file: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const line of readFileSync(path.join(FOLDER, file), 'utf8').split('\n')) {
    const [, key, value] = /^(\w+)=(.*)$/.exec(line) ?? [];
    if (key !== undefined) found.set(key, [...(found.get(key) ?? []), value ?? '']);
  }
  return found;
}

const files = readdirSync(FOLDER).filter((file) => file.endsWith('.service'));

test('each service has a unit', () => {
  expect(files.sort()).toEqual(
    ['gateway', 'hoster', 'router'].map((name) => `cabstand-${name}.service`),
  );
});

describe.each(files)('%s', (file) => {
  const keys = unit(file);
  const one = (key: string) => {
    expect(keys.get(key)).toHaveLength(1);
    return keys.get(key)![0]!;
  };
  const environment = Object.fromEntries(
    (keys.get('Environment') ?? []).flatMap((line) =>
      line.split(' ').map((pair) => pair.split('=')),
    ),
  ) as Record<string, string>;
  const [, main = '', name, ...argv] = one('ExecStart').split(' ');
  const config = () => {
    if (!isService(name)) throw new Error(`no service: ${String(name)}`);
    const given = argv.map((word) =>
      word.replace(SETTINGS, path.join(REPOSITORY_ROOT, 'deploy/config/')),
    );
    return serviceConfig(name, given, environment);
  };

  test('starts a program that there is, with the configuration of deploy/config', () => {
    expect(file).toBe(`cabstand-${String(name)}.service`);
    expect(main.startsWith(INSTALLED)).toBe(true);
    expect(existsSync(path.join(REPOSITORY_ROOT, main.slice(INSTALLED.length)))).toBe(true);
    expect(argv).toEqual(['--config', `${SETTINGS}${String(name)}.yaml`]);
    expect(config().listen).toMatch(/^0\.0\.0\.0:/);
  });

  test('is given longer to end than it takes, and stays down where it should', () => {
    expect(Number(one('TimeoutStopSec'))).toBeGreaterThanOrEqual(2 * config().shutdown_seconds + 5);
    expect(one('KillMode')).toBe('mixed');
    expect(one('Restart')).toBe('on-failure');
    expect(one('RestartPreventExitStatus')).toBe(CONFIG_EXIT_CODE);
  });

  test('is nobody who may do much', () => {
    const user = readFileSync(path.join(FOLDER, 'cabstand.sysusers.conf'), 'utf8');
    expect(user).toMatch(new RegExp(`^u ${one('User')} `, 'm'));
    expect(Object.fromEntries(Object.keys(HARDENED).map((key) => [key, one(key)]))).toEqual(
      HARDENED,
    );
  });
});
