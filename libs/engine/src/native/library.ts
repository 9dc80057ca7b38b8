/** ONNX Runtime's C API, called in the very library that onnxruntime-node ships. */
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import koffi from 'koffi';
import { TABLE } from './functions';
import type { Cell, Finished, Functions, Memory, Pointer, Status } from './functions';

export { NOBODY } from './functions';
export type { Cell, Pointer } from './functions';

type GetApi = (version: number) => Pointer | null;

/** Of the table: the first one that has all of these functions is older. */
const API_VERSION = 20;
/** Koffi calls on a stack of its own. ONNX Runtime needs as much as anybody: on threads Linux gives 8 MiB. */
const STACK_BYTES = 16 * 1024 * 1024;

const NAMES: Readonly<Partial<Record<NodeJS.Platform, string>>> = {
  linux: 'libonnxruntime.so.1',
  darwin: 'libonnxruntime.1.dylib',
};

export class Library {
  readonly functions: Functions;
  readonly #memcpy: (to: Memory, from: Memory, bytes: number) => Pointer;
  readonly #memset: (at: Pointer, value: number, bytes: number) => Pointer;
  readonly #cell = new BigUint64Array(1);

  /** @throws Error where this platform has no library, or not one that can be called. */
  constructor() {
    // It is of the process, and stays as it is after the first call.
    if (koffi.config().sync_stack_size !== STACK_BYTES)
      koffi.config({ sync_stack_size: STACK_BYTES, async_stack_size: STACK_BYTES });
    const standard = koffi.load(null);
    this.#memcpy = standard.func('memcpy', 'void *', ['void *', 'void *', 'size_t']);
    this.#memset = standard.func('memset', 'void *', ['void *', 'int', 'size_t']);
    const base = koffi.load(libraryPath()).func('OrtGetApiBase', 'void *', [])() as Pointer;
    const getApi = functionAt(base, 0, 'void *', 'uint32_t') as GetApi;
    const api = getApi(API_VERSION);
    if (api === null) throw new Error(`ONNX Runtime has no C API of version ${API_VERSION}`);
    this.functions = Object.fromEntries(
      Object.entries(TABLE).map(([name, [place, answer, takes]]) => [
        name,
        functionAt(api, place, answer, takes),
      ]),
    ) as unknown as Functions;
  }

  /** @throws Error with ONNX Runtime's words. */
  check(status: Status): void {
    if (status === null) return;
    const message = this.functions.getErrorMessage(status);
    this.functions.releaseStatus(status);
    throw new Error(message);
  }

  /** The address, or the number of 8 bytes, that a call writes. */
  made(call: (out: Cell) => Status): Pointer {
    this.#cell[0] = 0n;
    this.check(call(this.#cell));
    return this.#cell[0];
  }

  /** Fills an array with what stands at an address. */
  copy(from: Pointer, to: NodeJS.ArrayBufferView): void {
    if (to.byteLength > 0) this.#memcpy(to, from, to.byteLength);
  }

  /** Copies bytes that are at addresses, or begin an array. */
  move(to: Memory, from: Memory, bytes: number): void {
    if (bytes > 0) this.#memcpy(to, from, bytes);
  }

  /** Puts zeros into bytes. */
  clear(at: Pointer, bytes: number): void {
    if (bytes > 0) this.#memset(at, 0, bytes);
  }

  /** Calls on a thread of libuv's; what the arguments point to stays as it is until it answers. */
  async later(start: (finished: Finished) => void): Promise<void> {
    const status = await new Promise<Status>((resolve, reject) => {
      start((error, answer) => {
        if (error === null || error === undefined) resolve(answer);
        else
          reject(error instanceof Error ? error : new Error('the call failed', { cause: error }));
      });
    });
    this.check(status);
  }
}

function functionAt(table: Pointer, place: number, answer: string, takes: string): unknown {
  const prototype = koffi.proto(answer, takes.split(', '));
  const address = koffi.decode(table, place * koffi.sizeof('void *'), 'void *') as Pointer;
  return koffi.decode(address, prototype);
}

function libraryPath(): string {
  const { platform, arch } = process;
  const name = NAMES[platform];
  if (name === undefined) throw new Error(`${platform}: its library is not called directly`);
  const bin = path.resolve(path.dirname(require.resolve('onnxruntime-node')), '..', 'bin');
  const abi = readdirSync(bin).find((folder) => folder.startsWith('napi-'));
  const file = path.join(bin, abi ?? '', platform, arch, name);
  if (!existsSync(file)) throw new Error(`${file}: no such file`);
  return file;
}

/** Text as C has it. */
export function text(value: string): Buffer {
  return Buffer.from(`${value}\0`);
}

export function address(memory: NodeJS.ArrayBufferView): Pointer {
  return koffi.address(memory);
}

/** Text that ends with a zero, at an address. */
export function textAt(at: Pointer): string {
  return koffi.decode(at, 'char', -1) as string;
}
