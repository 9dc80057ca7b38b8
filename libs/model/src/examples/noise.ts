/**
 * A number of [0, 1) that depends on a seed and a counter alone: splitmix32, whose mixing step is the
 * finalizer of MurmurHash3 (https://github.com/aappleby/smhasher). Good enough for test data, not for sampling.
 */
export function noise(seed: number, counter: number): number {
  let bits = (Math.imul(seed | 0, 0x9e3779b9) + Math.imul(counter | 0, 0x85ebca6b)) | 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return ((bits ^ (bits >>> 16)) >>> 0) / 2 ** 32;
}
