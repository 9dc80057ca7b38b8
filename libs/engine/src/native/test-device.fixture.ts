/**
 * What tests of devices run on: the CPU, unless the environment names another one. Only what copies and computes nothing
 * is tried so: its results are the same bits anywhere.
 */
export const TEST_DEVICE = process.env['TEST_DEVICE'] === 'cuda' ? 'cuda' : 'cpu';
