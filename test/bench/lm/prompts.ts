/** A prompt of so many tokens, another one for each number: none begins as another one does. */
export function promptOf(number: number, tokens: number, vocabulary: number): number[] {
  let state = (number + 1) * 2654435761;
  return Array.from({ length: tokens }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    // The first ids are those of special tokens.
    return 3 + Math.floor((state / 2 ** 32) * (vocabulary - 3));
  });
}
