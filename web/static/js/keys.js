/** What keys do, wherever the focus is. */

import { $ } from './dom.js';

/** actions: start(), stop(), toggle(part), search(), escape(). */
export function listen(actions) {
  const shortcuts = {
    'k': actions.search,
    'b': () => actions.toggle('sidebar'),
    ',': () => actions.toggle('panel'),
    'O': actions.start,
    '/': () => $('shortcuts').showModal(),
  };
  addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && !$('shortcuts').open && !event.defaultPrevented) return actions.escape();
    if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
    const shortcut = shortcuts[event.shiftKey ? event.key.toUpperCase() : event.key];
    if (!shortcut) return;
    event.preventDefault();
    shortcut();
  });
  $('show-shortcuts').addEventListener('click', () => $('shortcuts').showModal());
}
