import { randomUUID } from 'node:crypto';
import type { Clock } from '@cabstand/core';
import type { Sealer } from '@cabstand/auth';
import type { TraceContext } from '@cabstand/rpc';
import type { ModelSource, ServedModel } from './engine/engine';
import type { Observe } from './events';
import type { InputCheck } from './input/input-check';
import type { SessionOptions } from './options';
import type { SessionInit } from './session-init';
import type { RebuildPlan, ResumeSpec } from './resume/plan';
import type { Epoch, Retention, TurnContent } from './types';

export interface OpenRequest {
  /** Undefined: an anonymous session, which gets a random id. */
  readonly id: string | undefined;
  readonly principal: string;
  readonly model: string;
  readonly retention: Retention;
  readonly epoch: Epoch;
  readonly priority: number;
  /** Goes on with a session from elsewhere: see `resumable`. */
  readonly resume?: ResumeSpec | undefined;
  /** Of the turn that the caller will start: checked before anything is taken, and then no more. */
  readonly content?: TurnContent;
  readonly onQueued?: (position: number) => void;
  /** What the opening is part of. */
  readonly trace?: TraceContext | undefined;
}

export interface SessionsInit {
  readonly host: ModelSource;
  readonly clock: Clock;
  readonly observe?: Observe;
  readonly sealer: Sealer;
  readonly options?: SessionOptions;
  /** It drains and the last session has left. */
  readonly onDrained?: () => void;
}

/** What a request comes to with one version of a model. */
export interface Prepared {
  readonly model: ServedModel;
  readonly plan: RebuildPlan | undefined;
  readonly inputs: InputCheck;
}

/** What a session is made of. */
export function initOf(request: OpenRequest, { model, plan, inputs }: Prepared): SessionInit {
  const { id, principal, retention, epoch, priority, trace } = request;
  return {
    id: id ?? `anonymous-${randomUUID()}`,
    named: id !== undefined,
    principal,
    model,
    retention,
    epoch,
    priority,
    inputs,
    plan,
    trace,
  };
}
