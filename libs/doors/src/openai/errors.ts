/** Errors as clients of OpenAI read them. */
import type { CabstandError, Reason } from '@cabstand/core';
import { httpStatus } from '@cabstand/service';

const CODES: Partial<Readonly<Record<Reason, string>>> = {
  MODEL_UNKNOWN: 'model_not_found',
  RATE_LIMITED: 'rate_limit_exceeded',
};

/** What programs go by is in `reason` and `metadata`, too, as everywhere else. */
export function openAiError(error: CabstandError): object {
  const { reason, message, metadata } = error;
  const status = httpStatus(error);
  const code = status === 401 ? 'invalid_api_key' : (CODES[reason] ?? reason.toLowerCase());
  const type = typeOf(status);
  return { error: { message, type, param: paramOf(error), code, reason, metadata } };
}

export function openAiErrorEvent(error: CabstandError): string {
  return `data: ${JSON.stringify(openAiError(error))}\n\n`;
}

function typeOf(status: number): string {
  switch (status) {
    case 401:
      return 'authentication_error';
    case 403:
      return 'permission_error';
    case 404:
      return 'not_found_error';
    case 429:
      return 'rate_limit_error';
    default:
      return status < 500 ? 'invalid_request_error' : 'server_error';
  }
}

/** The field of the request: models name their own parameters and inputs. */
function paramOf({ reason, metadata: { field, value } }: CabstandError): string | null {
  if (reason === 'MODEL_UNKNOWN') return 'model';
  // Of a parameter that the model does not have the value is its name.
  if (field === 'parameter') return value ?? null;
  return field?.replace(/^(parameter|tensor|input|body)[ .]/, '') ?? null;
}
