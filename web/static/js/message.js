/** One message as it is shown. */

import { speed } from './answer.js';
import { siblings } from './conversation.js';
import { copyButton, el, icon, iconButton } from './dom.js';
import { Markdown } from './markdown.js';
import { tokensView } from './tokens.js';

/**
 * The view of a message. actions are what its buttons do: edit(message, text), retry(message), choose(message), result(message, call, text),
 * askKey().
 */
export class MessageView {
  /** @param {boolean} running whether the message is an answer that still comes */
  constructor(conversation, message, running, actions) {
    Object.assign(this, { conversation, message, running, actions });
    this.body = el('div', { class: 'body' });
    this.extra = el('div', { class: 'extra' });
    this.foot = el('div', { class: 'foot' });
    this.root = el('article', { class: `message ${message.role}`, 'aria-label': this.#label() }, this.body, this.extra, this.foot);
    if (message.role === 'assistant') this.markdown = new Markdown(this.body);
    this.update(running);
  }

  #label() {
    return { user: 'You', assistant: `Answer of ${this.message.model}`, tool: `Result of ${this.message.name}` }[this.message.role];
  }

  /** Shows what the message holds. */
  update(running) {
    const { message } = this;
    this.running = running;
    this.root.setAttribute('aria-busy', String(running));
    this.root.classList.toggle('running', running);
    if (this.markdown) this.markdown.show(message.content, running);
    else this.body.textContent = message.content;
    this.tokens?.remove();
    this.body.hidden = !message.content;
    this.extra.replaceChildren(...this.#extras());
    if (!running) this.foot.replaceChildren(...(message.error && !message.content ? [] : this.#buttons()));
  }

  #extras() {
    const { message, running } = this;
    const parts = (message.calls ?? []).filter(Boolean).map((call) => this.#call(call));
    if (running && !message.content && !message.calls) parts.push(this.#waiting());
    if (message.error) parts.push(this.#error());
    return parts;
  }

  /** What the server does before the first token comes. */
  #waiting() {
    const { progress, loading } = this.message;
    let text = loading ? `Loading ${this.message.model}…` : 'Waiting for the first token…';
    if (progress) text = `Reading the prompt: ${progress.processed} of ${progress.total} tokens`;
    const bar = progress && el('progress', { max: String(progress.total), value: String(progress.processed), 'aria-label': 'Prompt' });
    return el('div', { class: 'waiting' }, el('span', { class: 'pulse', 'aria-hidden': 'true' }), text, bar);
  }

  #error() {
    const { error } = this.message;
    const wait = error.retryAfter ? ` Try again in ${error.retryAfter} s.` : '';
    const key = error.status === 401 && el('button', { type: 'button', class: 'link', onclick: () => this.actions.askKey() }, 'Enter a key');
    const again = el('button', { type: 'button', class: 'link', onclick: () => this.actions.retry(this.message) }, 'Try again');
    return el('div', { class: 'error', role: 'alert' }, el('p', {}, error.message + wait), el('div', { class: 'row' }, key, again));
  }

  /** A call of a tool, and where its result is written. */
  #call(call) {
    const result = Object.values(this.conversation.nodes).find((m) => m.role === 'tool' && m.call === call.id && this.#follows(m));
    const field = el('textarea', { rows: '2', 'aria-label': `Result of ${call.name}`, placeholder: 'What the tool answers' });
    const form = !this.running && !result && el('form', {
      class: 'result',
      onsubmit: (event) => {
        event.preventDefault();
        this.actions.result(this.message, call, field.value);
      },
    }, field, el('button', { class: 'button' }, 'Send the result'));
    return el('div', { class: 'call', role: 'group', 'aria-label': `Call of ${call.name}` },
      el('div', { class: 'call-head' }, icon('tool'), call.name), el('pre', { tabindex: '0', 'aria-label': 'Arguments', role: 'region' }, pretty(call.arguments)), form);
  }

  /** Whether a message comes, at whatever distance, after this one. */
  #follows(message) {
    const { nodes } = this.conversation;
    for (let node = message; node; node = nodes[node.parent]) if (node.parent === this.message.id) return true;
    return false;
  }

  #buttons() {
    const { message, actions } = this;
    const buttons = [];
    const beside = siblings(this.conversation, message);
    if (beside.length > 1) buttons.push(this.#branches(beside));
    buttons.push(copyButton('Copy', () => message.content));
    if (message.role !== 'tool') buttons.push(iconButton('edit', 'Edit', () => this.edit()));
    if (message.role === 'assistant') {
      buttons.push(iconButton('retry', 'Answer again', () => actions.retry(message)));
      if (message.tokens?.length) buttons.push(this.#tokensButton());
      buttons.push(el('span', { class: 'stats' }, statistics(message)));
    }
    return buttons;
  }

  #branches(beside) {
    const at = beside.indexOf(this.message);
    const to = (i) => () => this.actions.choose(beside[i]);
    return el('span', { class: 'branches' },
      iconButton('left', 'The version before', to(at - 1), { disabled: at === 0 }), `${at + 1}/${beside.length}`,
      iconButton('right', 'The version after', to(at + 1), { disabled: at === beside.length - 1 }));
  }

  #tokensButton() {
    const button = iconButton('tokens', 'Token alternatives', () => {
      const open = button.getAttribute('aria-pressed') !== 'true';
      button.setAttribute('aria-pressed', String(open));
      this.body.hidden = open;
      this.tokens?.remove();
      if (open) {
        this.tokens = tokensView(this.message.tokens);
        this.body.after(this.tokens);
      }
    }, { 'aria-pressed': 'false' });
    return button;
  }

  /** Puts a field in the message's place. What is saved is a branch beside it. */
  edit() {
    const { message } = this;
    const asks = message.role === 'user';
    const field = el('textarea', { 'aria-label': 'Edit the message', rows: String(Math.min(message.content.split('\n').length + 1, 20)) });
    field.value = message.content;
    const end = () => {
      form.remove();
      this.body.hidden = false;
      this.foot.hidden = false;
      this.root.classList.remove('editing');
    };
    const form = el('form', {
      class: 'editor',
      onsubmit: (event) => {
        event.preventDefault();
        end();
        if (field.value.trim()) this.actions.edit(message, field.value);
      },
      onkeydown: (event) => {
        if (event.key === 'Escape') end();
        else if (asks && event.key === 'Enter' && !event.shiftKey && !event.isComposing) form.requestSubmit();
        else return;
        event.preventDefault();
        event.stopPropagation();
      },
    }, field, el('div', { class: 'row' },
      el('button', { class: 'button primary' }, asks ? 'Send' : 'Save'), el('button', { type: 'button', class: 'button', onclick: end }, 'Cancel')));
    this.body.hidden = true;
    this.foot.hidden = true;
    this.root.classList.add('editing');
    this.body.after(form);
    field.focus();
  }
}

/** JSON with its lines, or the text as it is while it is none. */
function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** What an answer took, in one line. */
function statistics(message) {
  const parts = [message.model];
  const { usage, timing } = message;
  if (usage) {
    parts.push(`${usage.completion} tokens`);
    const rate = speed(message);
    if (rate) parts.push(`${rate < 10 ? rate.toFixed(1) : Math.round(rate)} tokens/s`);
  }
  if (timing) parts.push(`first after ${(timing.first / 1000).toFixed(2)} s`);
  if (usage) parts.push(`prompt ${usage.prompt}, of it cached ${usage.cached}`);
  if (message.finish === 'stopped') parts.push('stopped');
  if (message.finish === 'length') parts.push('cut at the limit of tokens');
  return parts.join(' · ');
}
