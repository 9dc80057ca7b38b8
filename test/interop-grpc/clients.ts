/** The official clients, as they are published: how each is called, and how it ends. */
import { spawn, spawnSync } from 'node:child_process';
import path from 'node:path';

/** A client that has said nothing for so long will say nothing more. */
const LONGEST_MS = 120_000;
/** Of what it printed, what tells why it failed. */
const LAST_CHARACTERS = 3000;
/** Guards nothing but a certificate that everybody may read: keytool wants one. */
const PASSWORD = 'changeit';

export interface Target {
  readonly port: number;
  /** With TLS, what trusts the server's certificate: a file of this client's kind. */
  readonly trust: string | undefined;
}

interface Ending {
  /** Undefined where it had to be killed. */
  readonly code: number | undefined;
  readonly said: string;
}

export interface InteropClient {
  readonly language: 'go' | 'java';
  /** Says which cases it has. */
  help(): string;
  /** Makes the file that trusts an authority. `ca`: its certificate, PEM. */
  trust(ca: string): string;
  run(name: string, target: Target): Promise<Ending>;
}

/** google.golang.org/grpc/interop/client; `folder` has its program `client`. */
export function goClient(folder: string): InteropClient {
  const program = path.join(folder, 'client');
  return {
    language: 'go',
    help: () => said(program, ['-h']),
    trust: (ca) => ca,
    run: (name, { port, trust }) =>
      ending(program, [
        `-server_port=${String(port)}`,
        '-server_host=localhost',
        `-test_case=${name}`,
        // By "test CA" it means any that is not the system's.
        ...(trust === undefined ? [] : ['-use_tls', '-use_test_ca', `-ca_file=${trust}`]),
      ]),
  };
}

/** io.grpc.testing.integration.TestServiceClient; `folder` has its jars in target/dependency. */
export function javaClient(folder: string): InteropClient {
  const jars = path.join(folder, 'target/dependency/*');
  const main = ['-cp', jars, 'io.grpc.testing.integration.TestServiceClient'];
  return {
    language: 'java',
    help: () => said('java', [...main, '--help']),
    trust: (ca) => {
      const store = `${ca}.p12`;
      const { status, stderr } = spawnSync(
        'keytool',
        ['-importcert', '-noprompt', '-alias', 'ca', '-file', ca, '-keystore', store].concat(
          ...['-storetype', 'PKCS12', '-storepass', PASSWORD],
        ),
        { encoding: 'utf8' },
      );
      if (status !== 0) throw new Error(`keytool made no trust store: ${stderr}`);
      return store;
    },
    run: (name, { port, trust }) =>
      ending('java', [
        ...(trust === undefined
          ? []
          : [
              `-Djavax.net.ssl.trustStore=${trust}`,
              `-Djavax.net.ssl.trustStorePassword=${PASSWORD}`,
            ]),
        ...main,
        `--server_port=${String(port)}`,
        '--server_host=localhost',
        `--test_case=${name}`,
        `--use_tls=${String(trust !== undefined)}`,
      ]),
  };
}

function said(program: string, args: readonly string[]): string {
  const { stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  return `${stdout}\n${stderr}`;
}

function ending(program: string, args: readonly string[]): Promise<Ending> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        output = (output + text).slice(-LAST_CHARACTERS);
      });
    const timer = setTimeout(() => child.kill('SIGKILL'), LONGEST_MS);
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ code: code ?? undefined, said: output });
    });
  });
}
