/** Calls as Qwen3-Coder writes them: `<function=name><parameter=name>value</parameter></function>`. */
import type { FoundCall } from './call';
import type { Offered, OfferedFunction } from './offer';

const END = '</function>';
const FUNCTION = /^<function=([^<>\n]+)>\s*/;
/** Values are texts as they are, with a line break before and behind them. */
const PARAMETER = /<parameter=([^<>\n]+)>\n?([^]*?)\n?<\/parameter>\s*/y;

/** Follows a call to the end of its function. */
export class FunctionEnd {
  /** Where the end may begin. */
  #at: number;

  /** @param from place of the first character */
  constructor(from: number) {
    this.#at = from;
  }

  /** @returns the place behind its end; undefined: it goes on */
  find(text: string): number | undefined {
    const at = text.indexOf(END, this.#at);
    if (at >= 0) return at + END.length;
    this.#at = Math.max(this.#at, text.length - END.length + 1);
    return undefined;
  }
}

/** Undefined where the text is no call of a function that was offered. */
export function xmlCallOf(text: string, offered: Offered): FoundCall | undefined {
  const [head, name = ''] = FUNCTION.exec(text) ?? [];
  const schema = offered.get(name);
  if (head === undefined || schema === undefined) return undefined;
  const given = new Map<string, string>();
  let at = head.length;
  while (!text.startsWith(END, at)) {
    PARAMETER.lastIndex = at;
    const [whole, key, value] = PARAMETER.exec(text) ?? [];
    if (whole === undefined || key === undefined || value === undefined) return undefined;
    given.set(key, jsonOf(value, typeOf(schema, key)));
    at += whole.length;
  }
  const members = Array.from(given, ([key, value]) => `${JSON.stringify(key)}: ${value}`);
  return { name, arguments: `{${members.join(', ')}}` };
}

/** JSON of a value: numbers keep all their digits. */
function jsonOf(value: string, type: unknown): string {
  if (type === 'string') return JSON.stringify(value);
  try {
    JSON.parse(value);
    return value.trim();
  } catch {
    return JSON.stringify(value);
  }
}

function typeOf({ properties }: OfferedFunction['parameters'], key: string): unknown {
  return memberOf(memberOf(properties, key), 'type');
}

function memberOf(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    ? (Reflect.get(value, key) as unknown)
    : undefined;
}
