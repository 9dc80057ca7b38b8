import type { SessionPath } from '../console/view.js';
import { byId, clockTime, make, setText } from './dom.js';
import { pathsOf } from './router.js';

/** Where a session is and was, for administrators who know its id: from an error, a log or an audit. */
export class SessionSearch {
  constructor() {
    byId('session').addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#look(byId('session-id', HTMLInputElement).value.trim());
    });
  }

  begin(admin: boolean): void {
    byId('session-section').hidden = !admin;
  }

  async #look(id: string): Promise<void> {
    const list = byId('session-steps');
    try {
      const paths = await pathsOf(id);
      setText(
        byId('session-found'),
        paths.length === 0
          ? `${id}: no hoster has a durable session of this id, and none has moved lately`
          : '',
      );
      list.replaceChildren(...paths.flatMap((path) => lines(id, path)));
    } catch (error) {
      list.replaceChildren();
      setText(byId('session-found'), error instanceof Error ? error.message : String(error));
    }
  }
}

function lines(id: string, { principal, model, now, steps }: SessionPath): readonly HTMLElement[] {
  const owner = [`${id} of ${principal}`, ...(model === '' ? [] : [model])].join(', ');
  const places = now.map(({ node, state, epoch }) => `${node} (${state}, epoch ${epoch})`);
  const where = now.length === 0 ? 'at no hoster now' : `at ${places.join(' and ')}`;
  return [
    ...steps.map(({ at, from, to, epoch, why }) =>
      make(
        'li',
        {},
        make('time', { datetime: new Date(at).toISOString() }, clockTime(at)),
        make('span', {}, `${from} → ${to}, epoch ${epoch}: ${why}`),
      ),
    ),
    make('li', {}, make('b', {}, 'now'), make('span', {}, `${owner}: ${where}`)),
  ];
}
