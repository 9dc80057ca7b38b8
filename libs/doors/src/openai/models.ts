/** Models as OpenAI lists them. */
import type { ModelFacts } from '../serving';
import { makesEmbeddings } from './embeddings';

/** Those that answer here, each name once. */
export function openAiModels(models: readonly ModelFacts[]): object[] {
  const byName = models
    .filter((model) => model.kind === 'language-model' || makesEmbeddings(model))
    .filter(({ state }) => state === 'ready')
    .map((model) => [model.name, openAiModel(model)] as const);
  return [...new Map(byName).values()];
}

/** When it was made nobody knows. */
export function openAiModel({ name }: ModelFacts): object {
  return { id: name, object: 'model', created: 0, owned_by: 'cabstand' };
}
