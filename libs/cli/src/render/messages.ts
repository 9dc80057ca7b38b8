import type { Session } from '@cabstand/client';
import { jsonLine } from './json';
import { printable } from './style';
import type { Style } from './style';

/**
 * Tells what a module says besides its outputs.
 *
 * @param above writes a line among the results
 */
export function tellMessages(
  session: Pick<Session, 'on'>,
  style: Style,
  format: 'readable' | 'json' | 'json-base64',
  above: (text: string) => void,
): void {
  session.on('message', ({ name, message, position, turn }) => {
    if (format === 'readable')
      above(`${style.cyan(printable(name))} ${printable(JSON.stringify(message))}\n`);
    else above(jsonLine({ message: name, position, turn, value: message }));
  });
  session.on('notice', ({ name, value }) => {
    if (format === 'readable')
      above(style.dim(`${printable(name)} ${printable(JSON.stringify(value))}\n`));
  });
}
