/** One answer: it is asked for, and what comes is put into its message. */

import { chat } from './api.js';
import { wire } from './conversation.js';
import { fields } from './settings.js';

/**
 * Fills message, an answer's, until it ends; it never throws. changed is called after each change. Where the signal ends first, what has come
 * stays.
 */
export async function fill(conversation, message, { defaults, signal, changed }) {
  const begin = performance.now();
  let first = 0;
  let last = 0;
  try {
    const request = { model: message.model, messages: wire(conversation, message.parent), ...fields(conversation.settings, defaults) };
    for await (const chunk of chat(request, signal)) {
      if (chunk.prompt_progress) message.progress = chunk.prompt_progress;
      const choice = chunk.choices[0];
      if (choice && takes(message, choice)) {
        last = performance.now();
        first ||= last;
      }
      if (choice?.finish_reason) message.finish = choice.finish_reason;
      if (chunk.usage) {
        message.usage = {
          prompt: chunk.usage.prompt_tokens, cached: chunk.usage.prompt_tokens_details.cached_tokens, completion: chunk.usage.completion_tokens,
        };
      }
      changed();
    }
  } catch (error) {
    if (error.name === 'AbortError') message.finish = 'stopped';
    else message.error = { message: error.message, status: error.status, retryAfter: error.retryAfter };
  }
  if (first) message.timing = { first: first - begin, decode: last - first };
  delete message.progress;
  message.finish ??= 'error';
  changed();
}

/** Puts a choice's delta into the message and says whether there was any. */
function takes(message, { delta, logprobs }) {
  let some = false;
  if (delta.content) {
    message.content += delta.content;
    some = true;
  }
  for (const call of delta.tool_calls ?? []) {
    message.calls ??= [];
    message.calls[call.index] ??= { id: call.id, name: call.function.name, arguments: '' };
    message.calls[call.index].arguments += call.function.arguments ?? '';
    some = true;
  }
  const likely = ({ token, logprob }) => ({ text: token, logprob });
  for (const token of logprobs?.content ?? []) {
    (message.tokens ??= []).push({ ...likely(token), top: token.top_logprobs.map(likely) });
  }
  return some;
}

/** Tokens a second while the answer was written; 0 where it was too short to say. */
export function speed({ usage, timing }) {
  return usage?.completion > 1 && timing?.decode > 0 ? (usage.completion - 1) / (timing.decode / 1000) : 0;
}
