/** The tokens of an answer, each with what the model found probable in its place. */

import { el } from './dom.js';

const percent = (logprob) => {
  const p = 100 * Math.exp(logprob);
  return p >= 99.95 ? '100 %' : p >= 10 ? `${p.toFixed(0)} %` : p >= 0.1 ? `${p.toFixed(1)} %` : '< 0.1 %';
};

/** A token's text with its spaces and ends of lines to be seen. */
const visible = (text) => text.replace(/ /g, '·').replace(/\n/g, '⏎').replace(/\t/g, '⇥') || '∅';

/** How sure the model was, from 0 (hardly) to 4 (almost certain). */
const sureness = (logprob) => [0.2, 0.5, 0.8, 0.95].filter((p) => Math.exp(logprob) >= p).length;

/** The view of tokens: a text of buttons, of which the arrow keys choose one, and the alternatives to the chosen one. */
export function tokensView(tokens) {
  const detail = el('div', { class: 'alternatives', 'aria-live': 'polite' }, el('p', { class: 'faint' }, 'Choose a token to see what else was probable there.'));
  const buttons = tokens.map((token, i) => el('button', {
    type: 'button', class: `token sure-${sureness(token.logprob)}`, tabindex: i === 0 ? '0' : '-1',
    'aria-label': `${token.text.trim() || visible(token.text)}, ${percent(token.logprob)}`, onclick: () => choose(i),
  }, token.text.replace(/\n/g, '⏎')));

  function choose(i) {
    buttons.forEach((button, k) => {
      button.tabIndex = k === i ? 0 : -1;
      button.setAttribute('aria-pressed', String(k === i));
    });
    detail.replaceChildren(alternatives(tokens[i]));
  }

  function onkeydown(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const to = buttons.indexOf(document.activeElement) + (step ?? 0);
    if (!step || !buttons[to]) return;
    event.preventDefault();
    buttons[to].focus();
    choose(to);
  }
  const text = el('div', { class: 'token-text', role: 'group', 'aria-label': 'Tokens; the arrow keys go from one to the next', onkeydown }, buttons.flatMap((button, i) =>
    (tokens[i].text.includes('\n') ? [button, el('br')] : [button])));
  return el('div', { class: 'tokens' }, text, detail);
}

/** A table of what was probable in a token's place, the token itself among it. */
function alternatives(token) {
  const rows = token.top.some((t) => t.text === token.text) ? token.top : [...token.top, token];
  return el('table', {}, el('caption', {}, `In place of “${visible(token.text)}”`), el('tbody', {}, rows.map((row) => {
    const meter = el('meter', { min: '0', max: '1', value: String(Math.exp(row.logprob)), 'aria-label': 'probability' });
    return el('tr', { class: row.text === token.text ? 'chosen' : '' },
      el('th', { scope: 'row' }, visible(row.text)), el('td', {}, meter), el('td', { class: 'number' }, percent(row.logprob)));
  })));
}
