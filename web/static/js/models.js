/** Which models the server has, which of them are loaded, and which one the reader chose. */

import { defaults, loaded, models } from './api.js';
import { $, el } from './dom.js';

const chosen = 'ortserve.model';

export class Models {
  /** changed() is called when the choice or what is known of it changes, failed(error) when the server does not tell. */
  constructor({ changed, failed }) {
    Object.assign(this, { changed, failed, list: [], known: false, loaded: new Set(), defaults: {} });
    $('model').addEventListener('change', () => {
      localStorage.setItem(chosen, $('model').value);
      this.#choose($('model').value);
    });
    setInterval(() => document.hidden || this.refresh(), 10_000);
    document.addEventListener('visibilitychange', () => document.hidden || this.refresh());
  }

  /** The chosen model as the server lists it. */
  get current() {
    return this.list.find((m) => m.id === this.id);
  }

  get isLoaded() {
    return this.loaded.has(this.id);
  }

  /** Asks the server again. */
  async refresh() {
    try {
      [this.list, this.loaded] = await Promise.all([models(), loaded()]);
    } catch (error) {
      this.#state('error', error.status === 401 ? 'key needed' : 'not reached');
      return this.failed(error);
    }
    this.known = true;
    const options = this.list.map((m) => el('option', { value: m.id }, m.id + (this.loaded.has(m.id) ? '' : ' (not loaded)')));
    if (options.map((o) => o.text).join() !== [...$('model').options].map((o) => o.text).join()) $('model').replaceChildren(...options);
    const wanted = [this.id, localStorage.getItem(chosen), this.list[0]?.id].find((id) => this.list.some((m) => m.id === id));
    await this.#choose(wanted);
  }

  async #choose(id) {
    const other = this.id !== id;
    this.id = id;
    if (id) $('model').value = id;
    this.#show();
    if (other && id) {
      try {
        this.defaults = await defaults(id);
      } catch (error) {
        this.failed(error);
      }
    }
    this.changed();
  }

  #show() {
    if (!this.id) this.#state('idle', 'no model');
    else if (this.isLoaded) this.#state('ready', 'loaded');
    else this.#state('idle', 'loads with the first message');
  }

  /** Says that the chosen model is being loaded, until the next refresh. */
  setLoading() {
    this.#state('busy', 'loading');
  }

  #state(kind, text) {
    $('model-state').className = `state ${kind}`;
    $('model-state').title = text;
    $('model-state-text').textContent = text;
  }
}
