import { manifestProblem } from '@cabstand/model';
import { toldToCallers } from '../engines/told';
import { brokenInfo } from './broken-info';

test('a failure is told in short, and to administrators in full', () => {
  const folder = '/srv/models/m';
  const problem = manifestProblem(`${folder}/golden.json`, 'sequences.0.dtype', 'f', 'a dtype');
  const broken = { name: 'm', folder, error: toldToCallers(problem, { model: folder }) };
  expect(brokenInfo(broken, false)).toMatchObject({
    offer: { name: 'm' },
    state: 'MODEL_STATE_FAILED',
    failure: 'm/golden.json: sequences.0.dtype: cannot be used',
  });
  expect(brokenInfo(broken, true).failure).toBe(
    'm/golden.json: sequences.0.dtype: got "f", expected a dtype',
  );
});
