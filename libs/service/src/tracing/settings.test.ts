import { tracingSection } from './section';
import { tracingSettings } from './settings';

const of = (env: Record<string, string>, config: object = {}) =>
  tracingSettings(tracingSection.parse(config), 'hoster', env);

test('without an endpoint nothing is traced, nor where OpenTelemetry is switched off', () => {
  expect(of({})).toBeUndefined();
  expect(of({ OTEL_EXPORTER_OTLP_ENDPOINT: ' ' })).toBeUndefined();
  expect(
    of({ OTEL_SDK_DISABLED: 'true' }, { otlp_endpoint: 'http://127.0.0.1:4318' }),
  ).toBeUndefined();
});

test('the standard variables say what the configuration does not', () => {
  const env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318/',
    OTEL_SERVICE_NAME: 'cab',
    OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
    OTEL_TRACES_SAMPLER_ARG: '0.25',
  };
  expect(of(env)).toMatchObject({
    url: 'http://collector:4318/v1/traces',
    serviceName: 'cab',
    ratio: 0.25,
    callerSampling: true,
  });
  const own = { otlp_endpoint: 'https://own:4318/base', sample_ratio: 0.5, caller_sampling: false };
  expect(of(env, own)).toMatchObject({
    url: 'https://own:4318/base/v1/traces',
    ratio: 0.5,
    callerSampling: false,
  });
  expect(of({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://x:1/other' })).toMatchObject({
    url: 'http://x:1/other',
    serviceName: 'cabstand-hoster',
    ratio: 1,
  });
  const off = { ...env, OTEL_TRACES_SAMPLER: 'always_off' };
  expect(of(off)).toMatchObject({ ratio: 0 });
});

test.each([
  ['OTEL_EXPORTER_OTLP_ENDPOINT', { OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318' }],
  ['OTEL_TRACES_SAMPLER', { OTEL_TRACES_SAMPLER: 'jaeger_remote' }],
  [
    'OTEL_TRACES_SAMPLER_ARG',
    { OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '7' },
  ],
])('%s that makes no sense is refused by name', (name, env) => {
  const all = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318', ...env };
  expect(() => of(all)).toThrow(
    expect.objectContaining({
      reason: 'CONFIG_INVALID',
      message: expect.stringContaining(name) as string,
    }) as Error,
  );
});
