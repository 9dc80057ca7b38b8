import { createHash } from 'node:crypto';
import * as fc from 'fast-check';
import { MOST_LEAVES, rootOf, treeOver } from './ticket-tree';

const leaves = fc.array(fc.string(), { minLength: 1, maxLength: MOST_LEAVES });

test('each leaf leads to the root by its path', () => {
  fc.assert(
    fc.property(leaves, (all) => {
      const { root, paths } = treeOver(all);
      all.forEach((leaf, place) => expect(rootOf(leaf, paths[place] as Buffer)).toEqual(root));
    }),
  );
});

test('the root is that of RFC 9162: of three leaves, the third goes up as it is', () => {
  const sha = (...parts: (Buffer | string)[]): Buffer =>
    parts.reduce((sum, part) => sum.update(part), createHash('sha256')).digest();
  const [a, b, c] = ['a', 'b', 'c'].map((leaf) => sha('\0', leaf)) as [Buffer, Buffer, Buffer];
  expect(treeOver(['a', 'b', 'c']).root).toEqual(sha('\x01', sha('\x01', a, b), c));
});

test('another leaf, or a path that was changed anywhere, does not lead to the root', () => {
  fc.assert(
    fc.property(
      leaves,
      fc.nat(),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      (all, at, byte, x) => {
        const { root, paths } = treeOver(all);
        const leaf = all[at % all.length] as string;
        const path = Buffer.from(paths[at % all.length] as Buffer);
        expect(rootOf(`${leaf}!`, path)).not.toEqual(root);
        expect(rootOf(leaf, Buffer.concat([path, Buffer.alloc(1)]))).toBeUndefined();
        expect(rootOf(leaf, path.subarray(0, -1))).not.toEqual(root);
        const place = byte % path.length;
        path[place] = (path[place] as number) ^ x;
        // The same leaf may stand at several places, and few leaves fit several numbers of them.
        if (place >= 2) expect(rootOf(leaf, path)).not.toEqual(root);
      },
    ),
  );
});

test.each([[[]], [[0]], [[0, 0]], [[1, 1]], [[0, MOST_LEAVES + 1]], [[0, 2]], [[0, 1, 7]]])(
  'bytes %j are no path',
  (bytes) => {
    expect(rootOf('a', Buffer.from(bytes))).toBeUndefined();
  },
);
