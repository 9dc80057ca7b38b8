/** genai_config.json, which onnxruntime-genai's builder writes in place of config.json and generation_config.json. */
import { z } from 'zod';

const count = z.int().min(1);
const token = z.int().min(0);

/** Sliding windows, states of other kinds, encoders and pages of memory are not served. */
const none = z.undefined('not served yet').optional();

export const genaiSchema = z.object({
  model: z.object({
    context_length: count,
    vocab_size: count,
    eos_token_id: z.union([token, z.array(token)]),
    encoder: none,
    decoder: z.object({
      head_size: count,
      sliding_window: none,
      inputs: z.object({
        past_key_names: z.literal('past_key_values.%d.key'),
        past_value_names: z.literal('past_key_values.%d.value'),
        past_conv_names: none,
        past_recurrent_names: none,
        block_table: none,
        inputs_embeds: none,
      }),
      outputs: z.object({
        present_key_names: z.literal('present.%d.key'),
        present_value_names: z.literal('present.%d.value'),
      }),
    }),
  }),
  search: z
    .object({
      do_sample: z.boolean().optional(),
      temperature: z.number().min(0).optional(),
      top_k: z.int().min(0).optional(),
      top_p: z.number().min(0).max(1).optional(),
      repetition_penalty: z.number().optional(),
      no_repeat_ngram_size: z.number().optional(),
    })
    .default({}),
});
