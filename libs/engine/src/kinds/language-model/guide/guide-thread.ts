/** Entry of the threads that compile grammars, and of the one that follows them. */
import '../../../no-telemetry';
import { workerData } from 'node:worker_threads';
import { answerQuestions } from '../answer-thread';
import { Grammars } from './grammars';
import type { GuideAsked } from './source';
import { readGuideVocabulary } from './vocabulary';

export interface GuideThreadData {
  readonly file: string;
  readonly size: number;
  readonly ends: readonly number[];
}

const { file, size, ends } = workerData as GuideThreadData;

answerQuestions(
  readGuideVocabulary(file, size, ends)
    .then((vocabulary) => new Grammars(vocabulary).load())
    .then((grammars) => (asked: GuideAsked) => grammars.answer(asked)),
);
