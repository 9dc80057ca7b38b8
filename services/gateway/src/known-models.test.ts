import { CabstandError, FakeClock } from '@cabstand/core';
import type { ModelFacts } from '@cabstand/doors';
import { KnownModels } from './known-models';
import { modelFacts, servedByDefault } from './inference/model-facts';

const never = new AbortController().signal;
const facts = (version: string, state: ModelFacts['state'] = 'ready'): ModelFacts => ({
  ...{ name: 'm', version, digest: `sha256:${version}`, kind: 'stateless', description: '' },
  ...{ state, failure: '', provider: '', inputs: [], outputs: [], parameters: [] },
  ...{ takesPrompt: false, givesText: false, takesLiveInput: false, capacity: 1 },
});
const gone = () => Promise.reject(new CabstandError('NODE_UNREACHABLE', 'nobody answers'));

test('what is fresh is not asked again, and many askers ask once', async () => {
  const clock = new FakeClock();
  const known = new KnownModels<ModelFacts>(clock);
  let asked = 0;
  const ask = () => Promise.resolve([facts(String(++asked))]);
  const [one, other] = await Promise.all([
    known.versions('m', ask, never),
    known.versions('m', ask, never),
  ]);
  expect([one, other]).toEqual([[facts('1')], [facts('1')]]);
  await clock.advance(900);
  expect(await known.versions('m', ask, never)).toEqual([facts('1')]);
  await clock.advance(200);
  expect(await known.versions('m', ask, never)).toEqual([facts('2')]);
});

test('while nobody answers, what was said before holds; a name that nobody ever knew fails', async () => {
  const clock = new FakeClock();
  const known = new KnownModels<ModelFacts>(clock);
  await expect(known.versions('m', gone, never)).rejects.toMatchObject({
    reason: 'NODE_UNREACHABLE',
  });
  await known.versions('m', () => Promise.resolve([facts('1')]), never);
  await clock.advance(5000);
  expect(await known.versions('m', gone, never)).toEqual([facts('1')]);
  const silent = known.versions('m', () => new Promise(() => undefined), never);
  await clock.advance(500);
  expect(await silent).toEqual([facts('1')]);
});

test('the newest version that is ready serves by default', () => {
  const versions = [facts('9'), facts('10', 'loading'), facts('2')];
  expect(servedByDefault(versions)?.version).toBe('9');
  expect(servedByDefault([facts('1', 'failed'), facts('2', 'failed')])?.version).toBe('2');
  expect(servedByDefault([])).toBeUndefined();
});

test('a model that could not be read has no offer but its name', () => {
  const wire = {
    ...{ offer: null, state: 'MODEL_STATE_FAILED', description: '', inputs: [], outputs: [] },
    ...{ parameters: '', failure: 'no manifest', takes_prompt: false, gives_text: true },
    // Of a hoster that is newer than this gateway.
    tool_calls: 'of another form',
  };
  expect(modelFacts(wire as unknown as Parameters<typeof modelFacts>[0])).toMatchObject({
    ...{ name: '', version: '', kind: 'stateless', state: 'failed', failure: 'no manifest' },
    ...{ givesText: true, toolCalls: undefined },
  });
});
