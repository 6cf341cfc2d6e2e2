/** Where messages are written: the field, send and stop, and how full the window is. */

import { $ } from './dom.js';

export class Composer {
  /** actions: send(text), stop(), editLast(). */
  constructor(actions) {
    this.actions = actions;
    this.field = $('input');
    $('composer').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#send();
    });
    this.field.addEventListener('input', () => this.#fit());
    this.field.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        this.#send();
      } else if (event.key === 'ArrowUp' && this.field.value === '') {
        event.preventDefault();
        actions.editLast();
      }
    });
    $('stop').addEventListener('click', () => actions.stop());
    this.#fit();
  }

  #send() {
    const text = this.field.value;
    if (!text.trim() || this.running) return;
    this.set('');
    this.actions.send(text);
  }

  /** Puts text into the field. */
  set(text) {
    this.field.value = text;
    this.#fit();
  }

  /** The field is as high as its text, up to a bound that the style sheet has. */
  #fit() {
    this.field.style.height = 'auto';
    this.field.style.height = `${this.field.scrollHeight}px`;
    $('send').disabled = !this.field.value.trim();
  }

  /** Shows send, or stop while an answer comes. */
  setRunning(running) {
    const had = document.activeElement === $('stop');
    this.running = running;
    $('send').hidden = running;
    $('stop').hidden = !running;
    if (had && !running) this.field.focus();
  }

  /** Shows how many tokens of the window the conversation takes. */
  setUsed(tokens, window) {
    $('context').hidden = !window;
    if (!window) return;
    const text = `${tokens.toLocaleString('en')} of ${window.toLocaleString('en')} tokens`;
    $('meter').value = Math.min(tokens / window, 1);
    $('meter').setAttribute('aria-valuetext', text);
    $('meter-text').textContent = text;
    $('context').classList.toggle('full', tokens > 0.9 * window);
  }
}
