/**
 * Finds calls of functions in answers as they come. However the text is cut into pieces, the same comes out; text that
 * looks like the beginning of a call is held back until it is known to be one, or comes out as content.
 */
import type { ToolCallFormat } from '../../serving';
import { callOf, callsOf } from './call';
import type { FoundCall, Said } from './call';
import { JsonEnd } from './json-text';
import type { Offered } from './offer';
import { FunctionEnd, xmlCallOf } from './xml-call';

export interface ToolReader {
  /** What is known to be said with this text. */
  push(text: string): Said[];
  /** Nothing follows: all that was held back. */
  end(): Said[];
}

/** An answer of many markers without calls is content: each of them is looked at as far as its JSON might go. */
const MOST_FAILED = 64;

/** Follows a call from its first character to its last one. */
interface CallEnd {
  /** @returns the place behind its end; undefined: it goes on */
  find(text: string): number | undefined;
}

interface Marked {
  /** What stands before the call. */
  readonly begin: string;
  /** What stands behind it; the end of the answer may stand for it. */
  readonly end: string;
  /** First character of the call. */
  readonly opens: '{' | '[' | '<';
  /** @param from place of the first character */
  readonly endOf: (from: number) => CallEnd;
  readonly callsOf: (text: string, offered: Offered) => FoundCall[] | undefined;
}

const TOOL_CALL = { begin: '<tool_call>', end: '</tool_call>' };
const endOfJson = (from: number): CallEnd => new JsonEnd(from);
const HERMES: Marked = {
  ...{ ...TOOL_CALL, opens: '{', endOf: endOfJson },
  callsOf: (json, offered) => one(callOf(json, offered, true)),
};
const QWEN_CODER: Marked = {
  ...{ ...TOOL_CALL, opens: '<', endOf: (from) => new FunctionEnd(from) },
  callsOf: (xml, offered) => one(xmlCallOf(xml, offered)),
};
const MISTRAL: Marked = { begin: '[TOOL_CALLS]', end: '', opens: '[', endOf: endOfJson, callsOf };

/**
 * @param offered functions: what calls any other one is content
 */
export function toolReader(format: ToolCallFormat | 'object', offered: Offered): ToolReader {
  switch (format) {
    case 'hermes':
      return new MarkedReader(HERMES, offered);
    case 'qwen-coder':
      return new MarkedReader(QWEN_CODER, offered);
    case 'mistral':
      // The token before the list is a special one, of which most tokenizers give no text.
      return new WholeReader(
        '[',
        (json) => callsOf(json, offered),
        new MarkedReader(MISTRAL, offered),
      );
    case 'llama':
    case 'object':
      return new WholeReader('{', (json) => one(callOf(json, offered, false)), undefined);
  }
}

const one = (call: FoundCall | undefined): FoundCall[] | undefined => call && [call];
const content = (text: string): Said[] => (text === '' ? [] : [{ kind: 'content', text }]);
const called = (calls: readonly FoundCall[]): Said[] =>
  calls.map((call) => ({ kind: 'call', call }));

/** The whole answer is JSON that calls; else all of it is for another reader, or content. */
class WholeReader implements ToolReader {
  readonly #opens: '{' | '[';
  readonly #calls: (json: string) => FoundCall[] | undefined;
  readonly #other: ToolReader | undefined;
  #held = '';
  #isOther = false;
  #json: JsonEnd | undefined;
  /** Where the JSON ended. */
  #end: number | undefined;

  constructor(
    opens: '{' | '[',
    calls: (json: string) => FoundCall[] | undefined,
    other: ToolReader | undefined,
  ) {
    this.#opens = opens;
    this.#calls = calls;
    this.#other = other;
  }

  push(text: string): Said[] {
    if (this.#isOther) return this.#other?.push(text) ?? content(text);
    this.#held += text;
    const begin = firstOf(this.#held, 0);
    if (begin === undefined) return [];
    if (this.#held[begin] !== this.#opens) return this.#giveUp();
    this.#json ??= new JsonEnd(begin);
    this.#end ??= this.#json.find(this.#held);
    // Something that is no space stands behind it.
    if (this.#end !== undefined && firstOf(this.#held, this.#end) !== undefined)
      return this.#giveUp();
    return [];
  }

  end(): Said[] {
    if (this.#isOther) return this.#other?.end() ?? [];
    const calls = this.#end === undefined ? undefined : this.#calls(this.#held.trim());
    if (calls !== undefined) return called(calls);
    return [...this.#giveUp(), ...(this.#other?.end() ?? [])];
  }

  #giveUp(): Said[] {
    this.#isOther = true;
    const held = this.#held;
    this.#held = '';
    return this.#other?.push(held) ?? content(held);
  }
}

/** Calls stand behind a marker, anywhere in the answer. Spaces around them are not content. */
class MarkedReader implements ToolReader {
  readonly #marked: Marked;
  readonly #offered: Offered;
  /** Not given out yet. */
  #held = '';
  /** Where the call that is read begins and ends in it. */
  #call: CallEnd | undefined;
  #begin = 0;
  #end: number | undefined;
  /** Markers that were none. */
  #failed = 0;
  /** A call came last: spaces behind it are not content. */
  #behind = false;

  constructor(marked: Marked, offered: Offered) {
    this.#marked = marked;
    this.#offered = offered;
  }

  push(text: string): Said[] {
    this.#held += text;
    return this.#read(false);
  }

  end(): Said[] {
    const said = this.#read(true);
    const rest = this.#held;
    this.#held = '';
    return [...said, ...this.#content(rest, true)];
  }

  /** All that is known. @param isLast nothing follows */
  #read(isLast: boolean): Said[] {
    const said: Said[] = [];
    for (;;) {
      const { begin } = this.#marked;
      const at = this.#failed < MOST_FAILED ? this.#held.indexOf(begin) : -1;
      if (at < 0) {
        said.push(...this.#release(this.#held.length - startOf(begin, this.#held)));
        return said;
      }
      said.push(...this.#release(at));
      const found = this.#callAt(this.#held.indexOf(begin), isLast);
      if (found === 'more') return said;
      this.#call = this.#end = undefined;
      if (found !== 'none') {
        said.push(...called(found.calls));
        this.#held = this.#held.slice(found.until);
        this.#behind = true;
        continue;
      }
      this.#failed += 1;
      // The marker is content; there may be another one behind it.
      const until = this.#held.indexOf(begin) + 1;
      said.push(...this.#content(this.#held.slice(0, until), true));
      this.#held = this.#held.slice(until);
    }
  }

  /** Gives out content before a place; spaces before it stay, a call may follow. */
  #release(until: number): Said[] {
    const text = this.#held.slice(0, until).trimEnd();
    const said = this.#content(text, false);
    this.#held = this.#held.slice(text.length);
    return said;
  }

  #content(text: string, isAll: boolean): Said[] {
    const told = this.#behind ? text.trimStart() : text;
    if (told !== '') this.#behind = false;
    else if (!isAll) return [];
    return content(told);
  }

  /** The call behind the marker at this place. */
  #callAt(
    at: number,
    isLast: boolean,
  ): 'more' | 'none' | { readonly calls: readonly FoundCall[]; readonly until: number } {
    const { begin, end, opens, endOf, callsOf: find } = this.#marked;
    const held = this.#held;
    if (this.#call === undefined) {
      const first = firstOf(held, at + begin.length);
      if (first === undefined) return isLast ? 'none' : 'more';
      if (held[first] !== opens) return 'none';
      this.#begin = first;
      this.#call = endOf(first);
    }
    this.#end ??= this.#call.find(held);
    if (this.#end === undefined) return isLast ? 'none' : 'more';
    const behind = firstOf(held, this.#end);
    const tail = behind === undefined ? '' : held.slice(behind, behind + end.length);
    const isEnded = tail === end || (isLast && behind === undefined);
    if (!isEnded && !isLast && end.startsWith(tail)) return 'more';
    const calls = isEnded ? find(held.slice(this.#begin, this.#end), this.#offered) : undefined;
    if (calls === undefined) return 'none';
    return { calls, until: tail === end && end !== '' ? (behind ?? 0) + end.length : this.#end };
  }
}

/** Place of the first character that is no space. */
function firstOf(text: string, from: number): number | undefined {
  for (let at = from; at < text.length; at += 1)
    if (!' \n\r\t'.includes(text.charAt(at))) return at;
  return undefined;
}

/** Characters at the end of a text that may be the beginning of a marker. */
function startOf(marker: string, text: string): number {
  for (let length = Math.min(marker.length - 1, text.length); length > 0; length -= 1)
    if (text.endsWith(marker.slice(0, length))) return length;
  return 0;
}
