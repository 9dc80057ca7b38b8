/** Whether graphs can be run in the memory of a device, by ONNX Runtime's C API. */
import { Tensor } from 'onnxruntime-node';
import { IDENTITY } from '../graphs/identity';
import { cpuDevice, cudaDevice } from './device';
import type { Device } from './device';
import { DeviceSession } from './device-session';
import { nativeRuntime } from './runtime';
import type { Runtime } from './shared';

export interface DeviceRuntime {
  readonly runtime: Runtime;
  readonly device: Device;
}

type FoundDevice =
  | { readonly works: true; readonly on: DeviceRuntime }
  | { readonly works: false; readonly why: string };

const found = new Map<Device['provider'], Promise<FoundDevice>>();

/** Tried once: a graph is run on the device, from its memory into its memory, and has to answer rightly. */
export function deviceRuntime(provider: Device['provider']): Promise<FoundDevice> {
  let known = found.get(provider);
  if (known === undefined) {
    known = open(provider).catch((error: unknown): FoundDevice => ({
      works: false,
      why: error instanceof Error ? error.message : String(error),
    }));
    found.set(provider, known);
  }
  return known;
}

async function open(provider: Device['provider']): Promise<FoundDevice> {
  const native = await nativeRuntime();
  if (!native.works) return native;
  const { runtime } = native;
  const device = provider === 'cuda' ? cudaDevice(runtime.library) : cpuDevice(runtime.library);
  const session = await DeviceSession.open(runtime, device, '', { threads: 1 }, IDENTITY);
  const [x, y] = [session.heap.allocate('float32', [1]), session.heap.allocate('float32', [1])];
  x.upload(Float32Array.of(0.5));
  await session.run({ x: x.asTensor }, { y: y.asTensor });
  const [there] = y.data;
  const crossing = new Tensor('float32', Float32Array.of(0.25), [1]);
  const results = await session.run({ x: crossing }, ['y']);
  const [back] = results['y']?.data as Float32Array;
  for (const tensor of [x, y]) tensor.release();
  await session.release();
  if (there !== 0.5 || back !== 0.25)
    throw new Error(
      `a graph that gives 0.5 and 0.25 back gave ${String(there)} and ${String(back)}`,
    );
  return { works: true, on: { runtime, device } };
}
