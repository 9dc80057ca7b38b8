/** A conversation as the text that its model was trained on. */
import { Template } from '@huggingface/jinja';
import { CabstandError, invalid } from '@cabstand/core';
import type { ChatTemplate } from '@cabstand/model';
import type { Conversation } from './conversation';
import { strftime } from './dates';

/**
 * No character of any language: it stands within what callers wrote where that reads like a special token, and
 * divides it there.
 */
const DIVIDER = '\uFDD0';
/** The date of a template is told, or there is none: the clock would give another prompt elsewhere. */
const CLOCK = '{%- set strftime_now = cabstand_date -%}';

export class ChatRenderer {
  readonly #chat: ChatTemplate;
  readonly #special: RegExp | undefined;
  readonly #templates = new Map<string, Template>();

  /** @param special texts of tokens that nobody may write but the template */
  constructor(chat: ChatTemplate, special: readonly string[]) {
    this.#chat = chat;
    const longer = special.filter((text) => text.length > 1).map((text) => escaped(text));
    this.#special =
      longer.length === 0 ? undefined : new RegExp(`(?=${longer.join('|')})[^]`, 'gu');
  }

  /**
   * The text of a conversation up to where the model is to answer, in pieces that are to be read each for itself:
   * a special token that somebody wrote is in two of them.
   *
   * @throws CabstandError INVALID_ARGUMENT for what the template refuses.
   */
  render({ messages, tools, template: variables, now }: Conversation): string[] {
    const { template, toolTemplate, tokens } = this.#chat;
    const text = tools === undefined ? template : (toolTemplate ?? template);
    if (tools !== undefined && !/\btools\b/.test(text))
      throw invalid(
        ...(['INVALID_ARGUMENT', 'messages.tools', `${tools.length} tools`] as const),
        'none: the model’s chat template has no place for them',
      );
    try {
      const rendered = this.#templateOf(text).render({
        ...(this.#divided(variables) as object),
        ...tokens,
        messages: this.#divided(messages),
        tools: tools === undefined ? null : this.#divided(tools),
        documents: null,
        add_generation_prompt: true,
        cabstand_date:
          now === undefined
            ? undefined
            : (format: string) => strftime(new Date(now * 1000), format),
      });
      return rendered.split(DIVIDER).filter((piece) => piece !== '');
    } catch (cause) {
      const { message } = CabstandError.from(cause);
      throw new CabstandError(
        'INVALID_ARGUMENT',
        `messages: the model’s chat template does not take them: ${message.slice(0, 500)}`,
        { metadata: { field: 'messages', expected: message.slice(0, 500) }, cause },
      );
    }
  }

  #templateOf(text: string): Template {
    const made = this.#templates.get(text) ?? new Template(`${CLOCK}${text}`);
    this.#templates.set(text, made);
    return made;
  }

  /** The same, with special tokens divided. */
  #divided(value: unknown): unknown {
    if (typeof value === 'string') return this.#divide(value);
    if (Array.isArray(value)) return value.map((inner) => this.#divided(inner));
    if (typeof value !== 'object' || value === null) return value;
    const entries = Object.entries(value);
    return Object.fromEntries(
      entries.map(([key, inner]) => [this.#divide(key), this.#divided(inner)]),
    );
  }

  /** Behind the first character of each special token: those that overlap are divided, too. */
  #divide(text: string): string {
    return this.#special === undefined ? text : text.replace(this.#special, `$&${DIVIDER}`);
  }
}

const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');

/** What is wrong with a model's templates, for people: conversations are refused for it, prompts are not. */
export function templateNotes(chat: ChatTemplate | undefined): string[] {
  return [chat?.template, chat?.toolTemplate].flatMap((text) => {
    try {
      if (text !== undefined) new Template(text);
      return [];
    } catch (error) {
      return [`its chat template cannot be used: ${CabstandError.from(error).message}`];
    }
  });
}
