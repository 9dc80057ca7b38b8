/** How V8 treats the objects of a service. */
import { setFlagsFromString } from 'node:v8';

/**
 * All objects begin in the young generation. By default V8 makes objects in its old generation at once where most of the
 * first ones of their place in the code lived long ("pretenuring"). Thousands of heartbeats and idle sessions are calls
 * that live long, and made by the same code as all the short ones, whose objects then wait for full collections. To be
 * called before anything is served: what V8 has learnt by then stays.
 */
export function beginYoung(): void {
  setFlagsFromString('--no-allocation-site-pretenuring');
}
