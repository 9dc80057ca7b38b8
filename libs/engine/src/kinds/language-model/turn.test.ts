import type { LanguageModelProgram } from '@cabstand/model';
import { newTurn } from './turn';

const program: LanguageModelProgram = {
  ...{ cache: { dtype: 'float32', tensors: [] }, logitsDtype: 'float32', rounding: 'fine' },
  ...{ takesMask: true, takesPositions: true, vocabularySize: 8, contextLength: 16, endTokens: [] },
  ...{ tokenizer: undefined, chat: undefined },
};

test.each([-1, 8, NaN, undefined])('id %p is no token', (id) => {
  expect(() => newTurn(0, [1, id as number, 2], {}, program, undefined)).toThrow(
    expect.objectContaining({ reason: 'INPUT_TEXT' }) as Error,
  );
});
