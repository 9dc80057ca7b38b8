/** How a model writes calls of functions: its chat template tells it how. */
import type { ChatTemplate } from '../manifest/program';
import type { ToolCallFormat } from '../manifest/signature';

/** Functions and their arguments as XML. */
const XML = /<function=[^]*<parameter=/;
/** Other forms within the same marks: XML of other kinds, names before their arguments. */
const OTHERS = /<function=|<arg_key>|\[ARGS\]|\[CALL_ID\]/;
/** `{"name": …, "parameters": …}`, perhaps within a text of the template. */
const LLAMA = /\{\\?"name\\?": [^{}]*\\?"parameters\\?": /;

/**
 * By what the template for tools says, in this order: `<tool_call>` with `<function=` and `<parameter=` is qwen-coder,
 * with `arguments` hermes, `[TOOL_CALLS]` is mistral,
 * `{"name": …, "parameters": …}` llama. Undefined where it has no place for tools, or another form.
 */
export function toolCallFormat(chat: ChatTemplate | undefined): ToolCallFormat | undefined {
  const text = chat?.toolTemplate ?? chat?.template ?? '';
  if (!/\btools\b/.test(text)) return undefined;
  if (text.includes('<tool_call>') && XML.test(text)) return 'qwen-coder';
  if (OTHERS.test(text)) return undefined;
  if (text.includes('<tool_call>') && /\barguments\b/.test(text)) return 'hermes';
  if (text.includes('[TOOL_CALLS]')) return 'mistral';
  return LLAMA.test(text) ? 'llama' : undefined;
}
