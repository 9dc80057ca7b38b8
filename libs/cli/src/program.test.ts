import { PassThrough } from 'node:stream';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { runCli } from './program';
import { Folder, standInEmptyFolder } from './folder.fixture';

standInEmptyFolder();
const folder = new Folder();
afterAll(() => folder.remove());

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function run(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ran> {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const code = await runCli(args, {
    stdout,
    stderr,
    stdin: process.stdin,
    env,
    signal: new AbortController().signal,
  });
  const text = (stream: PassThrough): string => ((stream.read() as Buffer | null) ?? '').toString();
  return { code, out: text(stdout), err: text(stderr) };
}

/** Nobody listens on port 1. */
const NOBODY = ['--router', '127.0.0.1:1'];

test.each(['drain', 'undrain'])(
  '%s, which only routers do, takes no hoster to go to',
  async (name) => {
    const asked = await run([name, ...NOBODY, '--hoster', '127.0.0.1:1']);
    expect(asked).toMatchObject({
      code: 2,
      err: expect.stringContaining("unknown option '--hoster'") as string,
    });
  },
);

test('--version and --help end with 0', async () => {
  expect(await run(['--version'])).toMatchObject({ code: 0, out: '0.1.0\n' });
  const { code, out } = await run(['--help']);
  expect(code).toBe(0);
  expect(out).toContain('Exit codes:');
});

test('no command prints the help, as wrong usage', async () => {
  const { code, err } = await run([]);
  expect(code).toBe(2);
  expect(err).toContain('Usage: cabstand');
});

test.each([
  'serve',
  'up',
  'infer',
  'chat',
  'nodes',
  'top',
  'logs',
  'info',
  'drain',
  'undrain',
  'load',
  'unload',
  'doctor',
  'keys',
  'model',
])('%s --help teaches with an example', async (command) => {
  const { code, out } = await run([command, '--help']);
  // Each default once, as one would write it.
  expect(out.replaceAll(/\s+/g, ' ')).not.toMatch(/\(default[^()]*\) \(default|default: \d+000\)/);
  expect(code).toBe(0);
  expect(out).toMatch(new RegExp(`Examples?:\n  \\$ .*cabstand ${command}`));
});

test.each(['init', 'add', 'export', 'remove', 'cert', 'rotate', 'retire', 'token', 'show'])(
  'keys %s --help too',
  async (command) => {
    expect((await run(['keys', command, '--help'])).out).toMatch(
      /Example:\n {2}\$ .*cabstand keys/,
    );
  },
);

test.each(['add', 'check', 'golden'])('model %s --help too', async (command) => {
  expect((await run(['model', command, '--help'])).out).toMatch(
    /Examples?:\n {2}\$ .*cabstand model/,
  );
});

test.each(['token', 'key', 'credentials'])('an empty --%s is told in plain words', async (flag) => {
  const { code, err } = await run(['nodes', `--${flag}`, '', ...NOBODY]);
  expect(code).toBe(2);
  expect(err).toBe(`cabstand: --${flag} is empty\n  Leave it out, or give it a value.\n`);
});

test('a command that is mistyped is guessed', async () => {
  const { code, err } = await run(['nodez']);
  expect(code).toBe(2);
  expect(err).toContain('Did you mean nodes?');
});

test.each([
  [['infer', '--model', 'x', ...NOBODY], /there is no input/],
  [['infer', '--text', 'x'], /--model/],
  [['chat'], /--model/],
  [['infer', '--model', 'x', '--text', 'a', '--wav', 'b'], /--wav and --text: give one kind/],
  [['infer', '--model', 'x', '--text', 'a', '--base64'], /--base64 goes with --json/],
  [['infer', '--model', 'x', '--tensor', 'nope'], /--tensor nope: expected NAME=FILE/],
  [['infer', '--model', 'x', '--text', 'a', '--timeout', 'soon'], /Expected a time/],
  [['nodes', '--router', 'localhost'], /Expected HOST:PORT/],
  [['nodes', '--credentials', '/nowhere'], /holds no keys/],
  [['nodes', '--token', 'a', '--key', 'b'], /give one of them/],
  [['nodes', '--tls'], /--tls needs the folder/],
  [['infer', '--model', 'x', '--text', 'a', '--size', 'n=3'], /--size goes with --example/],
  [['infer', '--model', 'x', '--example', '--size', 'wide'], /Expected NAME=SIZE/],
  [['infer', '--model', 'x', '--example', '--text', 'a'], /--example and --text: give one kind/],
  [['serve', '/nowhere.onnx'], /there is no \/nowhere\.onnx/],
  [['serve', '.', '--name', 'No Name'], /is no name for a model[^]*no-name/],
  [['model', 'add', '/nowhere.onnx'], /there is no \/nowhere\.onnx/],
  [['model', 'check', '/nowhere'], /there is no \/nowhere/],
  [['up', '--hosters', '0'], /from 1 to 32/],
  [['keys', 'token', 'bob', '--days', 'x'], /number of days/],
  [['keys', 'add', 'bob', '--role', 'king'], /king is no role/],
  [['keys', 'init', '--hoster', 'a='], /Expected NAME or NAME=HOST,HOST/],
  [['keys', 'init', '--hoster', '=10.0.0.7'], /Expected NAME or NAME=HOST,HOST/],
  [['keys', 'init', '--hoster', 'a=b=c'], /Expected NAME or NAME=HOST,HOST/],
])('%j is wrong usage', async (args, message) => {
  const { code, err, out } = await run(args);
  expect({ code, out }).toEqual({ code: 2, out: '' });
  expect(err).toMatch(message);
});

test.each([
  [['nodes', ...NOBODY]],
  [['info', ...NOBODY]],
  [['drain', 'hoster-1', '--token', 'x', ...NOBODY]],
  [['infer', '--model', 'g2p', '--text', 'taxi', ...NOBODY]],
  [['infer', '--model', 'g2p', '--text', 'taxi', '--hoster', '127.0.0.1:1']],
])('%j ends with 4 and says what to do', async (args) => {
  const { code, err, out } = await run(args);
  expect({ code, out }).toEqual({ code: 4, out: '' });
  expect(err).toMatch(/127\.0\.0\.1:1\b.*\n {2}\S/);
});

test('keys: made once, rotated, shown, tokens printed', async () => {
  const out = path.join(folder.path, 'keys');
  expect(await run(['keys', 'init', '--out', out])).toMatchObject({ code: 0, err: '' });
  const again = await run(['keys', 'init', '--out', out]);
  expect(again.code).toBe(2);
  expect(again.err).toContain('cabstand keys rotate NAME');
  expect(await run(['keys', 'add', 'alice', '--role', 'client', '--out', out])).toMatchObject({
    code: 0,
  });
  expect((await run(['keys', 'rotate', 'alice', '--out', out])).out).toContain(
    'the new key alice-',
  );
  const shown = JSON.parse((await run(['keys', 'show', '--json', '--out', out])).out) as {
    keys: { principal: string }[];
  };
  expect(shown.keys.filter(({ principal }) => principal === 'alice')).toHaveLength(2);
  const token = (...flags: string[]) => run(['keys', 'token', 'bob', '--out', out, ...flags]);
  const made = await token('--audience', 'localhost:50050', '--audience', '10.0.0.7:50060');
  expect(made).toMatchObject({ code: 0, err: '' });
  expect(made.out).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
  expect(
    JSON.parse(Buffer.from(made.out.split('.')[1] ?? '', 'base64url').toString()),
  ).toMatchObject({ sub: 'bob', aud: ['localhost:50050', '10.0.0.7:50060'] });
  expect((await token('--whole-subnet')).err).toContain('everywhere in the subnet');
  expect((await token('--audience', 'localhost:1', '--days', '2')).err).toContain('at most a day');
  expect(await token()).toMatchObject({ code: 2, out: '' });
  expect(await token('--audience', 'nowhere')).toMatchObject({ code: 2, out: '' });
  expect((await run(['keys', 'rotate', 'nobody', '--out', out])).code).toBe(2);
});

describe('keys of a folder', () => {
  const out = path.join(folder.path, 'subnet');
  const keys = (...args: string[]): Promise<Ran> => run(['keys', ...args, '--out', out]);
  beforeAll(() => keys('init'));

  test.each<[string[], RegExp[]]>([
    [
      ['add', 'hoster-b', '--role', 'hoster', '--host', '10.0.0.7'],
      [
        /tls\/hoster-b\.crt is its TLS certificate/,
        /1\. Copy \S*keys\.json over that of every router, every hoster, and every client/,
        /2\. Copy to hoster-b.*\n.*hoster-b\.key\.json \S*seal\.key\.json \S*ca\.crt \S*hoster-b\.crt/,
        /3\. Start it there:\n *cabstand hoster[^]*--advertise 10\.0\.0\.7:50051[^]*--tls-cert \S*hoster-b\.crt/,
      ],
    ],
    // Again: not an error, and nothing new.
    [
      ['add', 'hoster-b', '--role', 'hoster', '--host', '10.0.0.7'],
      [/has a key already/, /hoster-b\.crt is there already/],
    ],
    [
      ['cert', 'hoster-b', '--host', 'b.example.org'],
      [
        /hoster-b\.crt is good until \S+ \S+ UTC, for .*hoster-b, 10\.0\.0\.7, b\.example\.org\n/,
        /1\. Copy .*hoster-b\.crt and .*hoster-b\.key/,
        /2\. Nothing else: hoster-b reads them again within seconds/,
        /3\. Keep .*ca\.key off the servers\. It may be moved offline/,
      ],
    ],
    [
      ['rotate', 'client'],
      [
        /1\. Copy .*keys\.json[^]*KEY_UNKNOWN[^]*2\. Then copy .*client\.key\.json over that of client/,
      ],
    ],
    [['rotate', 'issuer'], [/Tokens that the old key signed end with it/]],
    [
      ['rotate', 'seal'],
      [
        /seal\.key\.json holds the new key seal-\S+: it opens at once, and seals from \S+ \S+ UTC on/,
        /1\. Before \S+ \S+ UTC: copy .*seal\.key\.json over that of every hoster/,
      ],
    ],
    [
      ['remove', 'hoster-b'],
      [/not in .*keys\.json any more/, /deleted .*hoster-b\.key\.json/],
    ],
    [
      ['list'],
      [
        /client-\S+ +client +client +request +until \S+Z\n/,
        /\nrouter +until \S+Z +localhost, 127\.0\.0\.1, ::1, router\n/,
        /\nseal-\S+ +from \S+Z\n/,
        /1\. Nothing is due\. First comes the certificate of \S+, which ends \d{4}-.*`cabstand keys cert/,
      ],
    ],
  ])('%j says what was done and what follows', async (args, expected) => {
    const { code, out: text, err } = await keys(...args);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    for (const pattern of expected) expect(text).toMatch(pattern);
    expect(text).toMatch(/\n\nNext:\n {2}1\. /);
  });

  test.each<[string[], RegExp]>([
    [['cert', 'nobody'], /expected one of issuer, router/],
    [['add', 'x', '--role', 'client', '--host', 'a:1'], /host.*without a port/],
    [['rotate', 'client', '--begins', '2'], /--begins goes with/],
    [
      ['rotate', 'client', '--overlap', '0'],
      /client signs with the old key until it has the new one/,
    ],
    [['rotate', 'issuer', '--overlap', '0'], /all tokens of the issuer would be good no more/],
    [['rotate', 'seal', '--overlap', '0'], /could not go on elsewhere/],
    [['rotate', 'seal', '--begins', '0'], /hosters that do not have the file yet/],
    [['remove', 'router'], /router is the only router of the subnet/],
    [['remove', 'admin'], /admin is the only admin of the subnet/],
    [['retire', 'nobody'], /expected one of issuer, router/],
    [['retire', 'client'], /nobody says whether somebody still signs with an old key of client/],
    [
      ['retire', 'client', '--metrics', '127.0.0.1:1'],
      /127\.0\.0\.1:1\/metrics does not say: .*connect/,
    ],
    [['export', 'nobody', '--to', 'nowhere'], /expected one of router, hoster, client, admin/],
  ])('%j is wrong usage', async (args, message) => {
    const { code, err } = await keys(...args);
    expect(code).toBe(2);
    expect(err).toMatch(message);
  });

  test('init names each hoster, with its own files and names', async () => {
    const made = path.join(folder.path, 'hosters');
    const hosters = ['--hoster', 'hoster-a=10.0.0.7,a.example.org', '--hoster', 'hoster-b'];
    const { code, out: text } = await run(['keys', 'init', ...hosters, '--out', made]);
    expect(code).toBe(0);
    for (const name of ['hoster-a', 'hoster-b'])
      expect(text).toMatch(
        new RegExp(`To ${name}: \\S*keys\\.json \\S*${name}\\.key\\.json \\S*seal\\.key\\.json`),
      );
    const { out: json } = await run(['keys', 'show', '--json', '--out', made]);
    const shown = JSON.parse(json) as { certificates: { name: string; hosts: string[] }[] };
    const hosts = new Map(shown.certificates.map((found) => [found.name, found.hosts]));
    expect(hosts.get('hoster-a')).toEqual(expect.arrayContaining(['10.0.0.7', 'a.example.org']));
    expect(hosts.get('hoster-b')).not.toContain('10.0.0.7');
    expect(hosts.get('router')).not.toContain('10.0.0.7');
  });

  test('export puts the files of one member into a folder', async () => {
    const to = path.join(folder.path, 'for-client');
    const { code, out: text } = await keys('export', 'client', '--to', to);
    expect(code).toBe(0);
    expect(text.trim().split('\n').sort()).toEqual(
      ['client.key.json', 'keys.json', 'tls/ca.crt', 'tls/client.crt', 'tls/client.key'].map(
        (file) => path.join(to, file),
      ),
    );
  });

  test('a folder without keys is told with what makes them', async () => {
    const { code, err } = await run(['keys', 'show', '--out', path.join(folder.path, 'none')]);
    expect(code).toBe(2);
    expect(err).toContain('cabstand keys init --out DIR');
  });
});

test('up says what is wrong with the models before it starts anything', async () => {
  const data = path.join(folder.path, 'data');
  const { code, err } = await run([
    'up',
    '--models',
    '/nowhere',
    '--data',
    data,
    '--port',
    '61050',
    '--admin-port',
    '61150',
  ]);
  expect(code).toBe(2);
  expect(err).toContain('/nowhere');
});

describe('folders that are none, or not what they were named for', () => {
  const repository = path.join(folder.path, 'mm');
  const file = path.join(folder.path, 'a-file');
  beforeAll(() => {
    folder.write('a-file', 'words');
    mkdirSync(path.join(repository, 'dd', '1'), { recursive: true });
    folder.write('mm/dd/1/model.onnx', '');
  });
  const data = path.join(folder.path, 'fresh');
  const ports = ['--port', '61060', '--admin-port', '61160'];

  test.each<[string[], string]>([
    [['up', '--data', file, ...ports], `${file} is no folder`],
    [['up', '--data', path.join(file, 'sub'), ...ports], `${file} is no folder`],
    [['serve', path.join(repository, 'dd'), '--data', file], `${file} is no folder`],
    [['up', '--models', 'nope', '--data', data, ...ports], 'there is no nope\n'],
    [['up', '--models', file, '--data', data, ...ports], `${file} is no folder\n`],
    [
      ['up', '--models', path.join(repository, 'dd'), '--data', data, ...ports],
      `\`cabstand serve ${path.join(repository, 'dd')}\` serves it`,
    ],
    [['model', 'golden', 'nope', '--input', 'x=x.npy'], 'there is no models/nope\n'],
    [['model', 'golden', 'nope', '--renew'], 'there is no models/nope\n'],
    [['model', 'golden', 'nope', '--renew', '--turn'], '--renew takes no inputs'],
  ])('%j', async (args, message) => {
    const { code, err } = await run(args);
    expect(code).toBe(2);
    expect(err).toContain(message);
    expect(err).not.toMatch(/E(EXIST|NOENT|NOTDIR)/);
    expect(err).toMatch(/\n {2}\S/);
  });
});

test.each([
  [['infer', '--modle', 'g2p'], "unknown option '--modle'", 'Did you mean --model?'],
  [['keys', 'add', 'x', '--rolle', 'client'], "unknown option '--rolle'", 'Did you mean --role?'],
  [['keys', 'add', 'x'], "required option '--role <role>' not specified", ''],
])('%j names what is wrong first', async (args, message, guess) => {
  const { code, err } = await run(args);
  expect(code).toBe(2);
  expect(err).toContain(message);
  expect(err).toContain(guess);
});
