import { CabstandError } from '@cabstand/core';
import { WireSource } from './source';
import type { Responses } from './source';

/** As a call has them: what has come is dropped when it is cancelled, and the end is told instead. */
class Scripted implements Responses<never[]> {
  came: never[][] = [];
  #end: CabstandError | undefined;

  read(): never[] | undefined {
    return this.came.shift();
  }

  ready(): Promise<boolean> {
    if (this.came.length > 0) return Promise.resolve(true);
    return Promise.reject(this.#end ?? new CabstandError('INTERNAL', 'nothing ever comes'));
  }

  cancel(reason: CabstandError): void {
    this.came = [];
    this.#end = reason;
  }
}

test('what came and was not read is not waited for once its source is cancelled', async () => {
  const responses = new Scripted();
  responses.came.push([]);
  const source = new WireSource(responses);
  await expect(source.wait()).resolves.toBe(true);
  source.cancel(new CabstandError('CANCELLED', 'enough'));
  expect(source.poll()).toBeUndefined();
  await expect(source.wait()).rejects.toMatchObject({ reason: 'CANCELLED' });
});

test('a response that holds nothing is passed over', async () => {
  const responses = new Scripted();
  responses.came.push([], []);
  const source = new WireSource(responses);
  await source.wait();
  expect(source.poll()).toBeUndefined();
  await expect(source.wait()).rejects.toMatchObject({ reason: 'INTERNAL' });
});
