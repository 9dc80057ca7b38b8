/** model.yaml of a language model: what its exporter's files do not say. There need not be one. */
import { z } from 'zod';
import { bytes, common, fileName, positive } from './schema-parts';

const { parameters: _, ...said } = common;

export const languageModelSchema = z.strictObject({
  ...said,
  kind: z.literal('language-model'),
  /** The decoder that is served, where the version's folder holds several. */
  graph: fileName.optional(),
  limits: z
    .strictObject({
      max_input_bytes: bytes.optional(),
      /** Tokens of prompt and answer; no more than the model has positions for. */
      max_sequence_length: positive.optional(),
    })
    .default({}),
});

export type WrittenLanguageModel = z.output<typeof languageModelSchema>;
