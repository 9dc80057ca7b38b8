import fc from 'fast-check';
import { HosterService, RouterService, codecs } from '@cabstand/rpc';
import { Random } from '../faults/random';
import { anyMessage } from './generate';
import { inputOf } from './models';
import { damage, mutate } from './mutate';
import { COMMON_METHODS, HOSTER_METHODS, ROUTER_METHODS, fieldsOf } from './schema';
import { SINGLE_METHODS } from './single-calls';
import { encode } from './wire';

test('every method of both services is fuzzed, health and reflection too', () => {
  const own = [...ROUTER_METHODS, ...HOSTER_METHODS].map(({ name }) => name);
  const common = COMMON_METHODS.map(({ path }) => path);
  expect(own).toHaveLength(17);
  expect(common).toHaveLength(5);
  expect([...SINGLE_METHODS, 'rpc_session_stream'].sort()).toEqual([...own, ...common].sort());
});

test('a valid request is written as the contract reads it', () => {
  const request = {
    ...{ session_id: 'a', epoch: { counter: 3, owner: Buffer.from('0123456789abcdef') } },
    ...{ durable: true, turn: 2, model: 'silero-vad', from_position: 7, priority: 1 },
    ...inputOf(new Random(1), 'silero-vad'),
  };
  const bytes = encode('cabstand.v1.InferenceStreamRequest', request);
  expect(HosterService.rpc_inference_stream.request.decode(bytes)).toMatchObject({
    ...{ session_id: 'a', epoch: { counter: 3 }, durable: true, turn: 2, from_position: 7 },
    ...{ inputs: [{ name: 'audio', dtype: 'DATA_TYPE_FLOAT32' }] },
  });
});

test('doubles, nested messages and lists are written as the contract reads them', () => {
  const load = { models: [{ model: 'm', step_seconds: 0.25 }], event_loop_lag_seconds: NaN };
  const bytes = encode('cabstand.v1.HeartbeatRequest', { load, consumed_lease_ids: ['a', 'b'] });
  expect(RouterService.rpc_heartbeat.request.decode(bytes)).toMatchObject({
    load: { models: [{ model: 'm', step_seconds: 0.25 }], event_loop_lag_seconds: NaN },
    consumed_lease_ids: ['a', 'b'],
  });
});

test('a mutated message is still one message, and differs', () => {
  const name = 'cabstand.v1.Tensor';
  const tensor = { name: 'x', dtype: 1, shape: [2], data: Buffer.alloc(8) };
  const valid = encode(name, tensor);
  let same = 0;
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const bytes = encode(name, mutate(new Random(seed), name, tensor));
      if (bytes.equals(valid)) same += 1;
      // Texts may be no UTF-8, on purpose; anything else can be read.
      codecs.Tensor.decode(bytes);
    }),
    { numRuns: 200 },
  );
  expect(same).toBeLessThan(40);
});

test('the same seed makes the same messages and the same damage', () => {
  const make = (): Buffer => {
    const random = new Random(42);
    const all = HOSTER_METHODS.map(({ request }) => encode(request, anyMessage(random, request)));
    return damage(random, Buffer.concat(all), Buffer.from('x'));
  };
  expect(make().equals(make())).toBe(true);
  expect(fieldsOf('cabstand.v1.Resume').map(({ name }) => name)).toContain('delivered_position');
});
