type Kind<T> = new () => T;

/** The element of that id and kind, which the page has. */
export function byId(id: string): HTMLElement;
export function byId<T extends HTMLElement>(id: string, kind: Kind<T>): T;
export function byId(id: string, kind: Kind<HTMLElement> = HTMLElement): HTMLElement {
  const found = document.getElementById(id);
  if (found instanceof kind) return found;
  throw new Error(`the page has no such element: #${id}`);
}

/** An element with text or other elements in it. Text is never read as HTML. */
export function make(
  name: string,
  attributes: Readonly<Record<string, string>>,
  ...children: readonly (Node | string)[]
): HTMLElement {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** Only what differs is written: screen readers tell of what changes, and selections stay. */
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function setClass(element: Element, name: string): void {
  if (element.className !== name) element.className = name;
}

const numbers = new Intl.NumberFormat('en', { maximumFractionDigits: 2 });

export function number(value: number | null): string {
  return value === null ? '–' : numbers.format(value);
}

export function milliseconds(value: number | null): string {
  return value === null ? '–' : `${numbers.format(value)} ms`;
}

export function clockTime(at: number): string {
  return new Date(at).toLocaleTimeString('en-GB');
}
