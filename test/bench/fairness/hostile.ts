/** One hostile principal, in a process of its own. */
import { setPriority } from 'node:os';
import { ATTACKS } from './attacks';
import { Bob } from './bob';
import type { ToHostile } from './messages';

/** It stands for other machines: what it computes itself must not take the cores of what is measured. */
const NICENESS = 10;

let bob: Bob | undefined;

process.on('message', (message: ToHostile) => {
  if ('take' in message) {
    process.send?.(bob?.take() ?? {});
    return;
  }
  setPriority(NICENESS);
  bob = new Bob(message.start);
  const attack = ATTACKS.find(({ name }) => name === message.attack);
  void attack?.run(bob);
  process.send?.('begun');
});
