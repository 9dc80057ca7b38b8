/** Upper bounds of histograms, in seconds or rows: wide steps, since each is a series for each model. */
export const LATENCY = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
];
export const WAITS = [0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
export const LIFETIMES = [0.01, 0.1, 1, 10, 60, 300, 1800, 7200];
export const BATCHES = [1, 2, 4, 8, 16, 32, 64];
export const LOADS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
