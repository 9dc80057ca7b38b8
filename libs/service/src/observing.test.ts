import { connect } from 'node:net';
import { CabstandError } from '@cabstand/core';
import type { MethodInfo } from '@cabstand/rpc';
import { AdminServer } from './admin';
import { callLog } from './call-log';
import { RefusalLog } from './refusal-log';
import { createLogger } from './log';
import { Metrics } from './metrics/metrics';
import { Readiness } from './readiness';

const info: MethodInfo = { path: '/s/m', service: 's', method: 'm', kind: 'server_stream' };

test('calls are counted by method and code, messages too', async () => {
  const metrics = new Metrics('test');
  for (const error of [undefined, undefined, new CabstandError('HOSTER_FULL', 'full')]) {
    const call = metrics.rpc.started(info);
    call.messageReceived();
    for (let i = 0; i < 10; i++) call.messageSent();
    call.finished(error, { peer: 'p' });
  }
  metrics.rpc.started(info);
  // Counts are handed over at each scrape: a second one must not count them twice.
  await metrics.render();
  const text = await metrics.render();
  const labels = 'grpc_service="s",grpc_method="m",grpc_type="server_stream"';
  expect(text).toContain(`grpc_server_started_total{${labels},service="test"} 4`);
  expect(text).toContain(`grpc_server_msg_sent_total{${labels},service="test"} 30`);
  expect(text).toContain(`grpc_server_msg_received_total{${labels},service="test"} 3`);
  expect(text).toContain(`grpc_server_handled_total{${labels},grpc_code="OK",service="test"} 2`);
  expect(text).toContain(
    `grpc_server_handled_total{${labels},grpc_code="RESOURCE_EXHAUSTED",service="test"} 1`,
  );
  expect(text).toContain(`grpc_server_handling_seconds_count{service="test",${labels}} 3`);
  metrics.close();
});

test('methods that a server has are at zero before any call, with every code', async () => {
  const metrics = new Metrics('test');
  metrics.rpc.serves(info);
  const text = await metrics.render();
  const labels = 'grpc_service="s",grpc_method="m",grpc_type="server_stream"';
  expect(text).toContain(`grpc_server_started_total{${labels},service="test"} 0`);
  for (const code of ['OK', 'RESOURCE_EXHAUSTED', 'UNAUTHENTICATED', 'INTERNAL'])
    expect(text).toContain(
      `grpc_server_handled_total{${labels},grpc_code="${code}",service="test"} 0`,
    );
  expect(text).toContain(`grpc_server_handling_seconds_count{service="test",${labels}} 0`);
  metrics.close();
});

test('callers that were refused for who they are are counted by reason, from zero', async () => {
  const metrics = new Metrics('test');
  const series = async (): Promise<string[]> =>
    (await metrics.render())
      .split('\n')
      .filter((line) => line.startsWith('cabstand_auth_refusals_total{'));
  const none = await series();
  expect(none.length).toBeGreaterThan(8);
  expect(none.every((line) => line.endsWith(' 0'))).toBe(true);
  for (const reason of ['KEY_UNKNOWN', 'PERMISSION_DENIED', 'HOSTER_FULL'] as const)
    metrics.rpc.started(info).finished(new CabstandError(reason, 'no'), { peer: 'p' });
  metrics.rpc.started(info).finished(undefined, { peer: 'p' });
  const some = await series();
  expect(some).toHaveLength(none.length);
  expect(some.filter((line) => !line.endsWith(' 0'))).toEqual([
    'cabstand_auth_refusals_total{reason="KEY_UNKNOWN",service="test"} 1',
    'cabstand_auth_refusals_total{reason="PERMISSION_DENIED",service="test"} 1',
  ]);
  metrics.close();
});

test('names follow the conventions of Prometheus: counters, and nothing else, end in _total', async () => {
  const metrics = new Metrics('test');
  const all = await metrics.registry.getMetricsAsJSON();
  const named = (counters: boolean): string[] =>
    all.filter(({ type }) => (String(type) === 'counter') === counters).map(({ name }) => name);
  expect(named(true).filter((name) => !name.endsWith('_total'))).toEqual([]);
  expect(named(false).filter((name) => /_(total|count|sum|bucket)$/.test(name))).toEqual([]);
  expect(named(true)).toContain('process_cpu_seconds_total');
  expect(named(false)).toContain('nodejs_active_handles');
  for (const { name, help } of all) expect(`${name}: ${help}`).toMatch(/: \S/);
  metrics.close();
});

test('the meter sees a blocked event loop, once for each reader', async () => {
  const metrics = new Metrics('test');
  const { lag } = metrics;
  lag.take('a');
  lag.take('b');
  const turn = (): Promise<unknown> => new Promise((resolve) => setTimeout(resolve, 30));
  // It measures from its first probe on. On a busy machine one turn may have just that one.
  for (const _probe of [1, 2, 3]) await turn();
  const until = performance.now() + 1500;
  while (performance.now() < until);
  await turn();
  expect(lag.take('a').maxSeconds).toBeGreaterThan(1);
  expect(lag.take('b').maxSeconds).toBeGreaterThan(1);
  await turn();
  expect(lag.take('a').maxSeconds).toBeLessThan(1);
  metrics.close();
});

describe('log', () => {
  function collect(): { lines: () => Record<string, unknown>[]; write(text: string): void } {
    let text = '';
    return {
      write: (more) => void (text += more),
      lines: () =>
        text
          .trim()
          .split('\n')
          .filter((line) => line !== '')
          .map((line) => JSON.parse(line) as Record<string, unknown>),
    };
  }

  test('a bug is an error with its cause, a refusal is information, a cancel is neither', () => {
    const sink = collect();
    const logger = createLogger({ name: 'test', destination: sink });
    const observer = callLog(logger, new RefusalLog(logger));
    const told = { peer: '127.0.0.1:1', principal: { id: 'p', roles: new Set<never>() } };
    const cause = new TypeError('x is undefined');
    observer.started(info).finished(new CabstandError('INTERNAL', 'failed', { cause }), told);
    observer.started(info).finished(new CabstandError('NO_NODE', 'none'), told);
    observer.started(info).finished(new CabstandError('CANCELLED', 'gone'), told);
    observer.started(info).finished(undefined, told);
    const lines = sink.lines();
    expect(lines.map((line) => line['level'])).toEqual(['error', 'info']);
    expect(JSON.stringify(lines[0])).toContain('x is undefined');
    expect(lines[1]).toMatchObject({ reason: 'NO_NODE', principal: 'p', method: '/s/m' });
  });

  test('what only admins may call is logged each time, done or refused, unless nobody proved who calls', () => {
    const sink = collect();
    const logger = createLogger({ name: 'test', destination: sink });
    const observer = callLog(logger, new RefusalLog(logger));
    const told = { peer: '10.0.0.1:1', principal: { id: 'root', roles: new Set<never>() } };
    const drain = { ...info, path: '/cabstand.v1.RouterService/rpc_drain' };
    for (let i = 0; i < 20; i++) observer.started(drain).finished(undefined, told);
    observer.started(drain).finished(new CabstandError('PERMISSION_DENIED', 'no'), told);
    observer.started(info).finished(undefined, told);
    expect(sink.lines()).toHaveLength(21);
    expect(sink.lines()[0]).toMatchObject({
      ...{ msg: 'admin call', outcome: 'done', method: drain.path },
      ...{ principal: 'root', peer: '10.0.0.1:1' },
    });
    expect(sink.lines()[20]).toMatchObject({ msg: 'admin call', outcome: 'PERMISSION_DENIED' });
    const stranger = { peer: '10.0.0.1:1' };
    for (let i = 0; i < 20; i++)
      observer.started(drain).finished(new CabstandError('UNAUTHENTICATED', 'who'), stranger);
    expect(sink.lines()).toHaveLength(31);
  });

  test('a line stays below 4 KiB, whatever a caller sends', () => {
    const sizes: number[] = [];
    const write = (line: string): void => void sizes.push(Buffer.byteLength(line));
    const logger = createLogger({ name: 'test', level: 'debug', destination: { write } });
    const long = 'x'.repeat(1_000_000);
    const told = { peer: long, principal: { id: long, roles: new Set<never>() } };
    const observer = callLog(logger, new RefusalLog(logger));
    const cause = new Error(long);
    const error = new CabstandError('INTERNAL', long, { cause, metadata: { value: long } });
    observer.started({ ...info, path: long }).finished(error, told);
    observer.started(info).finished(new CabstandError('INVALID_ARGUMENT', long), told);
    observer.started(info).finished(undefined, told);
    logger.warn(long);
    expect(sizes).toHaveLength(4);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(4096);
  });

  test('secrets are not written', () => {
    const sink = collect();
    const logger = createLogger({ name: 'test', destination: sink });
    logger.info(
      { token: 'hush', auth: { token: 'hush' }, headers: { authorization: 'hush' } },
      'x',
    );
    expect(JSON.stringify(sink.lines())).not.toContain('hush');
  });
});

describe('admin HTTP', () => {
  async function start() {
    const metrics = new Metrics('test');
    const readiness = new Readiness();
    const admin = new AdminServer({ metrics, readiness });
    const port = await admin.listen('127.0.0.1:0');
    return {
      readiness,
      port,
      base: `http://127.0.0.1:${port}`,
      async [Symbol.asyncDispose]() {
        await admin.close();
        metrics.close();
      },
    };
  }

  test('readiness says what is missing', async () => {
    await using it = await start();
    it.readiness.missing('models', 'loading g2p');
    const waiting = await fetch(`${it.base}/readyz`);
    expect(waiting.status).toBe(503);
    expect(await waiting.json()).toEqual({ ready: false, reasons: { models: 'loading g2p' } });
    expect((await fetch(`${it.base}/healthz`)).status).toBe(200);
    it.readiness.present('models');
    expect((await fetch(`${it.base}/readyz`)).status).toBe(200);
  });

  test('garbage and large headers are refused, and it goes on', async () => {
    await using it = await start();
    for (const bytes of [
      '\0\0\0\0\r\n\r\n',
      `GET / HTTP/1.1\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`,
    ]) {
      const answer = await new Promise<string>((resolve) => {
        const socket = connect(it.port, '127.0.0.1');
        let text = '';
        socket.on('data', (data) => (text += data.toString()));
        socket.on('error', () => undefined);
        socket.on('close', () => resolve(text));
        socket.write(bytes);
      });
      expect(answer).toMatch(/^HTTP\/1\.1 4(00|31)/);
    }
    expect((await fetch(`${it.base}/healthz`)).status).toBe(200);
  });

  test('an address in use is named', async () => {
    await using it = await start();
    const second = new AdminServer({ metrics: new Metrics('b'), readiness: new Readiness() });
    await expect(second.listen(`127.0.0.1:${it.port}`)).rejects.toMatchObject({
      reason: 'ADDRESS_IN_USE',
    });
  });
});
