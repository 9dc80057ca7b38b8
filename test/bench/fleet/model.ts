/** The one model of the simulated hosters. */
export const MODEL = 'model';
export const SLOTS = 64;
