import { CabstandError } from '@cabstand/core';

/** The error of something that must fail, with a reason. */
export async function refusalOf(outcome: Promise<unknown>): Promise<CabstandError> {
  try {
    await outcome;
  } catch (error) {
    if (CabstandError.is(error)) return error;
    throw error;
  }
  throw new Error('this should have been refused');
}
