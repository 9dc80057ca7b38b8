/** Sends large messages from a process of its own, all connections at once, and counts what came of them. */
import { setPriority } from 'node:os';
import { authConfigSchema, createClientAuthorizer } from '@cabstand/auth-admin';
import { CabstandError } from '@cabstand/core';
import { Encoded, HosterService, RpcClient } from '@cabstand/rpc';
import { tensorOf, toWire } from '@cabstand/tensor';
import type { Load, Outcomes, Target, ToSender } from './messages';

/** It stands for other machines: what it computes itself must not take the cores of what is measured. */
const NICENESS = 10;
const NO_LIMIT = 1 << 30;

let target: Target | undefined;
const clients: RpcClient[] = [];
const bodies = new Map<string, Encoded>();

function client(at: number, { address, auth }: Target): RpcClient {
  const authorizer = createClientAuthorizer(authConfigSchema.parse(auth));
  return (clients[at] ??= new RpcClient(address, { authorizer, maxMessageBytes: NO_LIMIT }));
}

function bodyOf(load: Load): Encoded {
  const key = JSON.stringify(load);
  const body = bodies.get(key) ?? new Encoded(encode(load));
  bodies.set(key, body);
  return body;
}

function encode(load: Load): Buffer {
  const { encode: write } = HosterService.rpc_inference_stream.request;
  const { model } = load;
  switch (load.kind) {
    case 'prompt':
      return write({ model, prompt: 'x'.repeat(load.bytes) });
    case 'parameters':
      return write({ model, parameters: `{"a":"${'x'.repeat(load.bytes)}"}` });
    case 'inputs': {
      const input = toWire(tensorOf('audio', new Float32Array(8)));
      return write({ model, inputs: Array.from({ length: load.count }, () => input) });
    }
    case 'tensor': {
      const values = Float32Array.from({ length: load.bytes / 4 }, (_, i) => Math.sin(i) / 9);
      return write({ model, inputs: [toWire(tensorOf(load.input, values))] });
    }
  }
}

/** Reads one record, which says that the input was taken, and leaves. */
async function outcomeOf(from: RpcClient, body: Encoded): Promise<string> {
  const leave = new AbortController();
  try {
    const call = { signal: leave.signal, timeoutMs: 30_000 };
    for await (const { record } of from.serverStream(
      HosterService.rpc_inference_stream,
      body,
      call,
    ))
      if (record) return 'records';
    return 'nothing';
  } catch (error) {
    return CabstandError.from(error).reason;
  } finally {
    leave.abort();
  }
}

async function burst(load: Load, connections: number): Promise<Outcomes> {
  if (target === undefined) throw new Error('nobody to send to');
  const to = target;
  const body = bodyOf(load);
  const all = await Promise.all(
    Array.from({ length: connections }, (_, at) => outcomeOf(client(at, to), body)),
  );
  const outcomes: Record<string, number> = {};
  for (const outcome of all) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  return outcomes;
}

process.on('message', (message: ToSender) => {
  if ('start' in message) {
    setPriority(NICENESS);
    target = message.start;
    return;
  }
  void burst(message.load, message.connections).then((outcomes) => process.send?.(outcomes));
});
