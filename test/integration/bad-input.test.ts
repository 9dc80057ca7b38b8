/** What a caller may get wrong about tensors, sessions and turns: refused by reason, harming nobody. */
import type { v1 } from '@cabstand/rpc';
import { HosterService, RouterService } from '@cabstand/rpc';
import { addMember } from '@cabstand/auth-admin';
import { stringTensor, tensorOf, toWire } from '@cabstand/tensor';
import { Subnet, refusalOf, until } from '@cabstand/testing';
import { Unharmed } from '../support/bystander';
import { TestClient } from '../support/client';
import { RawClient, audio, epoch, newId, within } from '../support/raw';

const MIB = 1024 * 1024;
/** More than a model's input may have, so that its own limit is met before the message's. */
const MESSAGE_BYTES = 24 * MIB;

let subnet: Subnet;
let unharmed: Unharmed;
let client: RawClient;
let stranger: RawClient;

beforeAll(async () => {
  subnet = await Subnet.start({
    hosters: 1,
    hosterConfig: { rpc: { max_message_bytes: MESSAGE_BYTES } },
  });
  unharmed = new Unharmed(subnet);
  client = new RawClient(subnet);
  await addMember({ folder: subnet.keys, name: 'stranger', roles: ['client'] });
  stranger = new RawClient(subnet, 'stranger');
  await until('the new key to be known', () =>
    stranger.hoster.unary(HosterService.rpc_info, {}, within),
  );
}, 90_000);

afterAll(async () => {
  client[Symbol.dispose]();
  stranger[Symbol.dispose]();
  await subnet.stop();
});

afterEach(() => unharmed.checkProcesses());

type Fields = Partial<v1.Tensor>;

const sound = (fields: Fields): v1.Tensor => ({ ...audio(), ...fields });
const image = (shape: number[], fields: Fields = {}): v1.Tensor => {
  const size = shape.reduce((product, n) => product * Math.max(n, 0), 1);
  return { ...toWire(tensorOf('image', new Float32Array(size), [size])), shape, ...fields };
};
const samples = (...values: number[]): v1.Tensor =>
  toWire(tensorOf('audio', Float32Array.from(values)));
const tooBig = toWire(tensorOf('audio', new Float32Array(5 * MIB)));

describe('a turn', () => {
  const silero = (...inputs: v1.Tensor[]): v1.InferenceStreamRequest => ({
    model: 'silero-vad',
    inputs,
  });
  const pictures = (...inputs: v1.Tensor[]): v1.InferenceStreamRequest => ({
    model: 'text-orientation',
    inputs,
  });
  const word = (prompt: string): v1.InferenceStreamRequest => ({ model: 'g2p', prompt });

  test.each<[string, string, v1.InferenceStreamRequest, string]>([
    ['an unknown model', 'MODEL_UNKNOWN', { model: 'silero' }, 'silero'],
    ['no model', 'INVALID_ARGUMENT', { inputs: [audio()] }, 'model'],
    ['another name', 'INPUT_UNKNOWN', silero(sound({ name: 'audoi' })), 'did you mean audio'],
    ['no name', 'INPUT_UNKNOWN', silero(sound({ name: '' })), 'audio'],
    ['no tensor', 'INPUT_MISSING', silero(), 'audio: float32 [samples]'],
    ['the tensor twice', 'INVALID_ARGUMENT', silero(audio(), audio()), 'audio'],
    ['a prompt for a model without', 'INPUT_UNKNOWN', { ...silero(), prompt: 'hello' }, 'prompt'],
    [
      'another dtype',
      'INPUT_DTYPE',
      silero(toWire(tensorOf('audio', new Float64Array(512)))),
      'float32 or int16',
    ],
    ['strings', 'INPUT_DTYPE', silero(toWire(stringTensor('audio', ['a']))), 'string'],
    ['no dtype', 'INPUT_DTYPE', silero(sound({ dtype: 'DATA_TYPE_UNSPECIFIED' })), 'dtype'],
    ['an unknown dtype', 'INPUT_DTYPE', silero(sound({ dtype: 99 as never })), '99'],
    ['another rank', 'INPUT_RANK', silero(sound({ shape: [1, 512] })), '[samples]'],
    ['a scalar', 'INPUT_RANK', silero(sound({ shape: [], data: Buffer.alloc(4) })), '[samples]'],
    ['nine dimensions', 'INPUT_RANK', silero(sound({ shape: [1, 1, 1, 1, 1, 1, 1, 1, 512] })), '8'],
    ['another size', 'INPUT_SHAPE', pictures(image([1, 3, 48, 191])), '[n, 3, 48, 192]'],
    ['a batch of zero', 'INPUT_SHAPE', pictures(image([0, 3, 48, 192])), 'at least 1'],
    ['a negative size', 'INPUT_SHAPE', silero(sound({ shape: [-512] })), 'at least 0'],
    ['a size beyond numbers', 'INPUT_SHAPE', silero(sound({ shape: ['9223372036854775807'] })), ''],
    [
      'sizes beyond numbers',
      'INPUT_SHAPE',
      pictures(image([1], { shape: [2 ** 50, 2 ** 50] })),
      '',
    ],
    ['too few bytes', 'INPUT_BYTES', silero(sound({ data: Buffer.alloc(2047) })), '2048 bytes'],
    ['too many bytes', 'INPUT_BYTES', silero(sound({ data: Buffer.alloc(2052) })), '2048 bytes'],
    ['terabytes, it says', 'INPUT_BYTES', silero(sound({ shape: [2 ** 40] })), '2048 bytes'],
    ['NaN', 'INPUT_NOT_FINITE', silero(samples(0, NaN, 0)), 'element 1'],
    ['an infinity', 'INPUT_NOT_FINITE', silero(samples(0, 0, -Infinity)), 'element 2'],
    ['a value too high', 'INPUT_OUT_OF_RANGE', silero(samples(0, 1.5)), 'element 1'],
    ['an id too high', 'INPUT_OUT_OF_RANGE', { model: 'g2p', inputs: [ids(29)] }, 'element 0'],
    ['text it cannot spell', 'INPUT_TEXT', word('naïve'), 'ï'],
    ['neither prompt nor ids', 'INPUT_MISSING', word(''), 'prompt'],
    ['a word too long', 'LIMIT_EXCEEDED', word('a'.repeat(129)), '128'],
    ['a tensor too large', 'LIMIT_EXCEEDED', silero(tooBig), '16777216'],
    [
      'too many tensors',
      'LIMIT_EXCEEDED',
      silero(...Array.from({ length: 65 }, () => audio())),
      '64',
    ],
    [
      'parameters that are no JSON',
      'PARAMETER_INVALID',
      { ...silero(audio()), parameters: '{' },
      'JSON',
    ],
    [
      'parameters that are a list',
      'PARAMETER_INVALID',
      { ...silero(audio()), parameters: '[]' },
      'object',
    ],
    [
      'an unknown parameter',
      'PARAMETER_INVALID',
      { ...silero(audio()), parameters: '{"rate":1}' },
      'rate',
    ],
    [
      'a parameter it cannot have',
      'PARAMETER_INVALID',
      { ...silero(audio()), parameters: '{"sample_rate":8000}' },
      'one of 16000',
    ],
    ['a priority too high', 'INVALID_ARGUMENT', { ...silero(audio()), priority: 10 }, 'priority'],
    [
      'a resume of a session without a name',
      'INVALID_ARGUMENT',
      { ...silero(audio()), resume: { turn: 0, delivered_position: -1 } },
      '',
    ],
  ])('with %s is refused: %s', async (_what, reason, request, says) => {
    const error = await client.refusal(request);
    expect(error).toMatchObject({ reason });
    expect(error.message).toContain(says);
  });

  test('a message too large is refused', async () => {
    const error = await client.refusal({
      model: 'silero-vad',
      inputs: [{ ...audio(), data: Buffer.alloc(MESSAGE_BYTES) }],
    });
    expect(error).toMatchObject({ reason: 'MESSAGE_TOO_LARGE', class: 'caller' });
  });
});

function ids(...values: number[]): v1.Tensor {
  return toWire(tensorOf('word', BigInt64Array.from(values.map(BigInt))));
}

test('a model nobody has: the router says so once it can know', async () => {
  const answer = await until('the router to have settled', async () => {
    const error = await refusalOf(
      client.router.unary(RouterService.rpc_acquire, { model: 'nobody-has-this' }, within),
    );
    // A router that has just started does not know its hosters yet.
    expect(['NO_NODE', 'MODEL_UNKNOWN']).toContain(error.reason);
    return error.reason === 'MODEL_UNKNOWN' ? error : undefined;
  });
  expect(answer.metadata).toMatchObject({ model: 'nobody-has-this' });
});

/** A session that is kept, after its first turn. */
async function kept(fields: Partial<v1.InferenceStreamRequest> = {}): Promise<string> {
  const id = newId();
  const records = await client.turn({ ...turnOf(id, 0), model: 'silero-vad', ...fields });
  expect(records.map(({ position }) => position)).toEqual([0, 1]);
  return id;
}

function turnOf(id: string, turn: number | string): v1.InferenceStreamRequest {
  return { session_id: id, epoch: epoch(), turn, keep_session: true, inputs: [audio()] };
}

describe('a session', () => {
  test.each(['another principal', 'nobody', 'its past'])('of %s is refused', async (whose) => {
    const id = whose === 'nobody' ? newId() : await kept();
    const named = { session_id: id, epoch: epoch() };
    if (whose === 'its past') await client.hoster.unary(HosterService.rpc_close_session, named);
    const who = whose === 'another principal' ? stranger : client;
    const reason = {
      'another principal': 'SESSION_UNKNOWN',
      nobody: 'SESSION_UNKNOWN',
      'its past': 'SESSION_ENDED',
    }[whose];
    const update = { ...named, ack: { position: 0 } };
    const attach = { attach: { ...named, from_position: 0 } };
    expect(await who.refusal(turnOf(id, 1))).toMatchObject({ reason });
    expect(
      await refusalOf(who.hoster.unary(HosterService.rpc_session_update, update)),
    ).toMatchObject({ reason });
    expect(await who.streamRefusal([attach])).toMatchObject({ reason });
    // What has ended may still be asked how, and closed again, by its owner.
    if (whose === 'its past') return;
    const { rpc_session_status: status, rpc_close_session: close } = HosterService;
    expect(await refusalOf(who.hoster.unary(status, named))).toMatchObject({ reason });
    expect(await refusalOf(who.hoster.unary(close, named))).toMatchObject({ reason });
    if (whose === 'another principal') {
      // The same name is theirs, too, and that of another session.
      expect(await who.turn({ ...turnOf(id, 0), model: 'silero-vad' })).toHaveLength(2);
      // Nor was this one disturbed.
      expect(await client.turn(turnOf(id, 1))).toHaveLength(2);
    }
  });

  test.each<[string, Partial<v1.InferenceStreamRequest>, string]>([
    ['an id with a space', { session_id: 'a b' }, 'session_id'],
    ['an id too long', { session_id: 'a'.repeat(65) }, 'session_id'],
    ['a reserved id', { session_id: 'anonymous-me' }, 'session_id'],
    ['no id, though it should be kept', { session_id: '' }, 'session_id'],
    ['no epoch', { epoch: null }, 'epoch'],
    ['epoch 0', { epoch: epoch(0) }, 'epoch.counter'],
    ['a negative epoch', { epoch: epoch(-1) }, 'epoch.counter'],
    ['an owner too short', { epoch: { counter: 1, owner: Buffer.alloc(8) } }, 'epoch.owner'],
  ])('with %s is refused', async (_what, fields, field) => {
    const error = await client.refusal({ ...turnOf(newId(), 0), model: 'silero-vad', ...fields });
    expect(error).toMatchObject({ reason: 'INVALID_ARGUMENT', metadata: { field } });
  });

  test('a consumer with a lower epoch, or the same of somebody else, is fenced off', async () => {
    const id = await kept({ epoch: epoch(2) });
    for (const other of [epoch(1), epoch(2, 9)])
      expect(await client.refusal({ ...turnOf(id, 1), epoch: other })).toMatchObject({
        reason: 'EPOCH_FENCED',
      });
    expect(await client.turn({ ...turnOf(id, 1), epoch: epoch(2) })).toHaveLength(2);
  });

  test('a turn out of order, or with other content, is refused', async () => {
    const id = await kept();
    for (const turn of [2, 100, -1, '9223372036854775807'])
      expect(await client.refusal(turnOf(id, turn))).toMatchObject({ reason: 'TURN_OUT_OF_ORDER' });
    const conflict = [
      { ...turnOf(id, 0), inputs: [audio(1024)] },
      { ...turnOf(id, 1), model: 'g2p' },
    ];
    for (const request of conflict)
      expect(await client.refusal(request)).toMatchObject({ reason: 'TURN_CONFLICT' });
    expect((await client.turn(turnOf(id, 1))).map(({ position }) => position)).toEqual([2, 3]);
  });

  test('a turn while another one runs is refused', async () => {
    const id = newId();
    const request = { ...turnOf(id, 0), model: 'silero-vad', inputs: [audio(512 * 4000)] };
    const running = client.hoster.serverStream(HosterService.rpc_inference_stream, request, within);
    await running.next();
    expect(await client.refusal(turnOf(id, 1))).toMatchObject({ reason: 'SESSION_BUSY' });
    let records = 0;
    for await (const { record } of running) if (record) records++;
    expect(records).toBe(4001);
  });

  test.each([-2, 5, 2 ** 53, '9223372036854775807', '-9223372036854775808'])(
    'position %s is refused',
    async (position) => {
      const reason = 'POSITION_INVALID';
      const fresh = { ...turnOf(newId(), 0), model: 'silero-vad', from_position: position };
      // There may be one somewhere of which it is true; of the others there cannot be any.
      const ofNobody = position === 5 ? 'SESSION_UNKNOWN' : reason;
      expect(await client.refusal(fresh)).toMatchObject({ reason: ofNobody });
      const id = await kept({ durable: true });
      expect(await client.refusal({ ...turnOf(id, 1), from_position: position })).toMatchObject({
        reason,
      });
      const named = { session_id: id, epoch: epoch() };
      const attach = { attach: { ...named, from_position: position } };
      expect(await client.streamRefusal([attach])).toMatchObject({ reason });
      const update = { ...named, ack: { position } };
      expect(
        await refusalOf(client.hoster.unary(HosterService.rpc_session_update, update)),
      ).toMatchObject({ reason });
      const next = await client.turn({ ...turnOf(id, 1), from_position: 2 });
      expect(next.map((record) => record.position)).toEqual([2, 3]);
      await client.hoster.unary(HosterService.rpc_close_session, named);
    },
  );

  test('an update that does not fit the session is refused', async () => {
    const id = await kept();
    const named = { session_id: id, epoch: epoch() };
    const ask = (update: v1.SessionUpdateRequest): Promise<unknown> =>
      client.hoster.unary(HosterService.rpc_session_update, { ...named, ...update });
    const command = { sequence: 0, name: 'louder', arguments: '{}' };
    // Only durable sessions can move.
    expect(await refusalOf(ask({ handover: {} }))).toMatchObject({ reason: 'INVALID_ARGUMENT' });
    expect(await refusalOf(ask({ command }))).toMatchObject({ reason: 'COMMAND_UNKNOWN' });
    expect(await refusalOf(ask({}))).toMatchObject({ reason: 'INVALID_ARGUMENT' });
  });
});

describe('a session with a name, of the client library', () => {
  const bad = { nope: new Float32Array(512) };
  const good = { audio: new Float32Array(1024) };

  test.each(['whole', 'live'])(
    'goes on where its first turn, a %s one, was refused',
    async (how) => {
      await using own = new TestClient(subnet);
      await using session = own.sessions.session({ model: 'silero-vad', id: newId() });
      const ask = async (tensors: Readonly<Record<string, Float32Array>>): Promise<number> => {
        let chunks = 0;
        if (how === 'whole')
          for await (const chunk of session.runProtocolTask(undefined, tensors)) chunks += +!!chunk;
        else {
          const turn = session.live();
          await turn.write(tensors);
          await turn.end();
          for await (const chunk of turn) chunks += +!!chunk;
        }
        return chunks;
      };
      expect(await refusalOf(ask(bad))).toMatchObject({ reason: 'INPUT_UNKNOWN' });
      expect(await ask(good)).toBe(2);
      expect(await ask(good)).toBe(2);
    },
  );
});

describe('a session stream', () => {
  const open = { open: { model: 'silero-vad' } };
  const live = { turn: { turn: 0, live: true } };
  const part = (number: number, ...inputs: v1.Tensor[]): v1.SessionStreamRequest => ({
    input: { turn: 0, part: number, inputs },
  });
  const all = { turn: { turn: 0, input: { inputs: [audio(512 * 50)] } } };

  test.each<[string, string, v1.SessionStreamRequest[]]>([
    ['a turn before it is open', 'INVALID_ARGUMENT', [live]],
    ['an empty message', 'INVALID_ARGUMENT', [{}]],
    ['a second opening', 'INVALID_ARGUMENT', [open, open]],
    ['an unknown model', 'MODEL_UNKNOWN', [{ open: { model: 'nobody-has-this' } }]],
    ['input before its turn', 'TURN_OUT_OF_ORDER', [open, part(0, audio())]],
    ['a gap in its input', 'INVALID_ARGUMENT', [open, live, part(0, audio()), part(2, audio())]],
    ['a negative part', 'INVALID_ARGUMENT', [open, live, part(-1, audio())]],
    ['input for a turn that is not live', 'INVALID_ARGUMENT', [open, all, part(0, audio())]],
    ['live NaN', 'INPUT_NOT_FINITE', [open, live, part(0, samples(NaN))]],
    ['live input of another name', 'INPUT_UNKNOWN', [open, live, part(0, image([1, 3, 48, 192]))]],
    ['turn 1 first', 'TURN_OUT_OF_ORDER', [open, { turn: { turn: 1, live: true } }]],
    ['an ack of the future', 'POSITION_INVALID', [open, { ack: { position: 3 } }]],
    ['a handover that is not durable', 'INVALID_ARGUMENT', [open, { handover: {} }]],
  ])('with %s is refused: %s', async (_what, reason, messages) => {
    expect(await client.streamRefusal(messages)).toMatchObject({ reason });
  });
});

test('nothing else was harmed', () => unharmed.check());
