import { CabstandError } from '@cabstand/core';
import type { Reason } from '@cabstand/core';
import { openAiError } from './errors';

test.each<[Reason, Record<string, string>, string, string | null, string]>([
  ['MODEL_UNKNOWN', { model: 'm' }, 'not_found_error', 'model', 'model_not_found'],
  ['CREDENTIALS_MISSING', {}, 'authentication_error', null, 'invalid_api_key'],
  ['PERMISSION_DENIED', {}, 'permission_error', null, 'permission_denied'],
  ['RATE_LIMITED', {}, 'rate_limit_error', null, 'rate_limit_exceeded'],
  ['HOSTER_FULL', {}, 'rate_limit_error', null, 'hoster_full'],
  [
    'PARAMETER_INVALID',
    { field: 'parameter top_p' },
    'invalid_request_error',
    'top_p',
    'parameter_invalid',
  ],
  [
    'PARAMETER_INVALID',
    { field: 'parameter', value: 'x' },
    'invalid_request_error',
    'x',
    'parameter_invalid',
  ],
  [
    'INPUT_UNKNOWN',
    { field: 'tensor messages' },
    'invalid_request_error',
    'messages',
    'input_unknown',
  ],
  ['INTERNAL', {}, 'server_error', null, 'internal'],
])('%s with %j is a %s about %s: %s', (reason, metadata, type, param, code) => {
  expect(openAiError(new CabstandError(reason, 'why', { metadata }))).toEqual({
    error: { message: 'why', type, param, code, reason, metadata },
  });
});
