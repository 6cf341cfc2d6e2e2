/** The messages of a conversation, from top to bottom. */

import { path } from './conversation.js';
import { $, el } from './dom.js';
import { MessageView } from './message.js';

/** How near the end, in pixels, the reader follows what comes. */
const near = 60;

export class Thread {
  #views = new Map(); // by message id
  #drawn = 0; // the animation frame that is asked for

  constructor(actions) {
    this.actions = actions;
    this.root = $('thread');
    this.list = $('messages');
    this.follows = true;
    this.root.addEventListener('scroll', () => {
      this.follows = this.#rest() < near;
      $('to-end').hidden = this.#rest() < 300;
    }, { passive: true });
    new ResizeObserver(() => this.follows && this.toEnd()).observe(this.root);
    $('to-end').addEventListener('click', () => this.toEnd());
  }

  #rest() {
    return this.root.scrollHeight - this.root.scrollTop - this.root.clientHeight;
  }

  /** Shows a conversation. running is the message whose answer still comes, if there is one. */
  show(conversation, running, greeting) {
    const messages = path(conversation);
    const views = new Map();
    for (const message of messages) {
      const old = this.conversation === conversation && this.#views.get(message.id);
      const view = old && old.message === message ? old : new MessageView(conversation, message, message === running, this.actions);
      if (old) view.update(message === running);
      views.set(message.id, view);
    }
    const changed = this.conversation !== conversation;
    this.conversation = conversation;
    this.#views = views;
    this.list.replaceChildren(...(messages.length ? [...views.values()].map((v) => v.root) : [greeting]));
    if (changed || running) this.toEnd();
  }

  /** Shows what came for one message, at the next frame. */
  update(message, running) {
    const view = this.#views.get(message.id);
    if (!view) return;
    if (!running) { // at once: buttons belong to it
      cancelAnimationFrame(this.#drawn);
      this.#drawn = 0;
      view.update(false);
      if (this.follows) this.toEnd();
    } else if (!this.#drawn) {
      this.#drawn = requestAnimationFrame(() => {
        this.#drawn = 0;
        view.update(true);
        if (this.follows) this.toEnd();
      });
    }
  }

  /** Opens the editor of the reader's last message. */
  editLast() {
    [...this.#views.values()].findLast((v) => v.message.role === 'user')?.edit();
  }

  toEnd() {
    this.follows = true;
    this.root.scrollTop = this.root.scrollHeight;
  }
}

/** What stands where no message is. */
export function greeting(models, examples, onchoose) {
  const model = models.current;
  const said = model ? `${model.id}, with room for ${model.max_model_len.toLocaleString('en')} tokens. Conversations stay in this browser.`
    : models.known ? 'No model is there yet.' : '\u00a0'; // the server has not said
  return el('div', { class: 'greeting' },
    el('h2', {}, 'What is on your mind?'),
    el('p', { class: 'faint' }, said),
    el('div', { class: 'examples' }, examples.map((text) => el('button', { type: 'button', class: 'example', onclick: () => onchoose(text) }, text))));
}
