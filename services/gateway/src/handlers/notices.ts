import type { ModuleNotice, Session } from '@cabstand/client';
import type { OpenedEvent } from '@cabstand/client/protocol';

/** What a session tells besides its records, in the words of whoever passes it on. */
export interface NoticeListeners {
  readonly opened: (event: OpenedEvent) => void;
  readonly queued: (place: { readonly position: number }) => void;
  readonly progress?: (progress: { readonly done: number; readonly total: number }) => void;
  readonly notice: (notice: ModuleNotice) => void;
}

/**
 * Passes on what a session tells besides its records, until the disposal. It tells each hoster that it opens at; its
 * caller hears of the first one only: where it goes on is no news.
 *
 * @param told the caller knows that the session is open
 */
export function passNotices(session: Session, to: NoticeListeners, told = false): Disposable {
  const { queued, progress = () => undefined, notice } = to;
  const opened = (event: OpenedEvent): void => {
    if (!told) to.opened(event);
    told = true;
  };
  session.on('opened', opened);
  session.on('queued', queued);
  session.on('progress', progress);
  session.on('notice', notice);
  return {
    [Symbol.dispose]: () => {
      session.off('opened', opened);
      session.off('queued', queued);
      session.off('progress', progress);
      session.off('notice', notice);
    },
  };
}
