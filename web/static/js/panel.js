/** The panel of a conversation's settings, and of the page's own: key and colours. */

import { apiKey, setAPIKey } from './api.js';
import { $, el } from './dom.js';
import { forms, initial, problem, sampling, toolsSample } from './settings.js';

export class Panel {
  /** actions: changed() after each change of the settings, keyChanged(). */
  constructor(actions) {
    this.actions = actions;
    this.settings = initial();
    this.inputs = {};
    $('sampling').append(...sampling.map((s) => this.#number(s)));
    $('form-kind').append(...Object.entries(forms).map(([kind, { label }]) => el('option', { value: kind }, label)));
    $('tools').placeholder = toolsSample;

    this.#text('system', 'system');
    this.#text('stops', 'stop');
    this.#text('tools', 'tools');
    $('form-kind').addEventListener('change', () => {
      const kind = $('form-kind').value;
      this.settings.form = { kind, text: forms[kind].sample ?? '' };
      this.#changed();
    });
    $('form-text').addEventListener('input', () => {
      this.settings.form.text = $('form-text').value;
      this.#changed();
    });
    $('tool-choice').addEventListener('change', () => {
      this.settings.toolChoice = $('tool-choice').value;
      this.#changed();
    });
    $('alternatives').addEventListener('change', () => {
      this.settings.alternatives = $('alternatives').checked;
      this.#changed();
    });
    $('reset').addEventListener('click', () => {
      Object.assign(this.settings, { sampling: {}, stop: '' });
      this.#changed();
    });
    $('key-form').addEventListener('submit', (event) => {
      event.preventDefault();
      setAPIKey($('key').value.trim());
      actions.keyChanged();
    });
    $('theme').value = document.documentElement.dataset.theme;
    $('theme').addEventListener('change', () => {
      document.documentElement.dataset.theme = $('theme').value;
      localStorage.setItem('ortserve.theme', $('theme').value);
    });
    $('key').value = apiKey();
  }

  #number({ name, label, hint, whole, fallback, ...bounds }) {
    const id = `sampling-${name}`;
    const input = el('input', { id, type: 'number', inputmode: 'decimal', 'aria-describedby': `${id}-hint`, placeholder: fallback ?? '', ...bounds });
    this.inputs[name] = input;
    input.addEventListener('input', () => {
      if (input.value === '' || !input.validity.valid) delete this.settings.sampling[name];
      else this.settings.sampling[name] = Number(input.value);
      this.#changed(true);
    });
    return el('div', { class: 'setting' }, el('label', { for: id }, label), input, el('p', { id: `${id}-hint`, class: 'hint' }, hint));
  }

  #text(id, name) {
    $(id).addEventListener('input', () => {
      this.settings[name] = $(id).value;
      this.#changed(true);
    });
  }

  #changed(typing) {
    if (!typing) this.#fill();
    this.#check();
    this.actions.changed();
  }

  /** Shows the settings of a conversation, which the panel then changes. */
  show(settings) {
    this.settings = settings;
    this.#fill();
    this.#check();
  }

  /** Shows what holds where the reader says nothing. */
  setDefaults(defaults) {
    for (const { name, fallback } of sampling) this.inputs[name].placeholder = fallback ?? (defaults[name] === undefined ? '' : String(round(defaults[name])));
  }

  #fill() {
    const { settings } = this;
    for (const { name } of sampling) this.inputs[name].value = settings.sampling[name] ?? '';
    $('system').value = settings.system;
    $('stops').value = settings.stop;
    $('tools').value = settings.tools;
    $('tool-choice').value = settings.toolChoice;
    $('form-kind').value = settings.form.kind;
    $('form-text').value = settings.form.text;
    $('form-text').hidden = !forms[settings.form.kind].sample;
    $('alternatives').checked = settings.alternatives;
  }

  /** Says beside a part what keeps it from being sent. */
  #check() {
    const wrong = problem(this.settings);
    for (const part of ['form', 'tools']) {
      const message = wrong?.part === part ? wrong.message : '';
      $(`${part}-error`).textContent = message;
      $(part === 'form' ? 'form-text' : 'tools').setAttribute('aria-invalid', String(message !== ''));
    }
  }

  /** Leads the reader to the field of the key. */
  askKey(wrong) {
    $('key-error').textContent = wrong ? 'The server does not know this key.' : 'This server wants a key.';
    $('key').focus();
  }

  keyAccepted() {
    $('key-error').textContent = '';
  }
}

/** Numbers of the server without the noise of their binary form. */
const round = (x) => Math.round(x * 1e6) / 1e6;
