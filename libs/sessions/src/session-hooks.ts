import type { Session } from './session';
import type { SessionDeps } from './session-init';
import type { SessionEnd } from './types';

/** What sessions need of their hoster: one for all of them. See `SessionDeps`. */
export interface Hooks extends Pick<SessionDeps, 'options' | 'clock' | 'observe' | 'sealer'> {
  readonly quiet: (session: Session) => void;
  readonly readers: (session: Session) => void;
  readonly turn: (session: Session) => void;
  readonly over: (session: Session) => void;
  readonly waiting: (session: Session) => void;
  readonly survived: (session: Session) => void;
  readonly retake: () => void;
  readonly ended: (session: Session, end: SessionEnd) => void;
}

/**
 * The same for one session. A closure for each of these, and the shape that V8 makes of an object with closures, would
 * be a tenth of what a session takes that does nothing.
 */
export class SessionHooks implements SessionDeps {
  readonly #hooks: Hooks;
  #session: Session | undefined;

  constructor(hooks: Hooks) {
    this.#hooks = hooks;
  }

  /** It is there now. While it is made it is quiet, and of no use to anybody. */
  made(session: Session): void {
    this.#session = session;
  }

  get options(): SessionDeps['options'] {
    return this.#hooks.options;
  }

  get clock(): SessionDeps['clock'] {
    return this.#hooks.clock;
  }

  get observe(): SessionDeps['observe'] {
    return this.#hooks.observe;
  }

  get sealer(): SessionDeps['sealer'] {
    return this.#hooks.sealer;
  }

  onQuiet(): void {
    this.#tell('quiet');
  }

  onReaders(): void {
    this.#tell('readers');
  }

  onTurn(): void {
    this.#tell('turn');
  }

  onOver(): void {
    this.#tell('over');
  }

  onWaiting(): void {
    this.#tell('waiting');
  }

  onSurvived(): void {
    this.#tell('survived');
  }

  onRetake(): void {
    this.#hooks.retake();
  }

  onEnded(end: SessionEnd): void {
    if (this.#session !== undefined) this.#hooks.ended(this.#session, end);
  }

  #tell(what: 'quiet' | 'readers' | 'turn' | 'over' | 'waiting' | 'survived'): void {
    if (this.#session !== undefined) this.#hooks[what](this.#session);
  }
}
