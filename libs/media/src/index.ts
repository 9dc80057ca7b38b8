export { audioFrom, audioParts } from './audio';
export type { AudioOptions } from './audio';
export { logMel } from './log-mel';
export type { LogMelOptions } from './log-mel';
export { Resampler } from './resampler';
export { SegmentFinder, segmentsOf } from './segments';
export type { Segment, SegmentOptions } from './segments';
export { Wav } from './wav/wav';
export type { WavInfo } from './wav/header';
