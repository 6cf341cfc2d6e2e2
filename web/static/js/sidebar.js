/** The list of conversations: search, rename, delete, export, import. */

import { contains, exported, titleOf } from './conversation.js';
import { $, el, iconButton, toast } from './dom.js';

const day = 24 * 60 * 60 * 1000;

/** The heading under which the list has what changed at that time. */
function period(time) {
  const days = Math.floor((new Date().setHours(24, 0, 0, 0) - time) / day);
  return days <= 0 ? 'Today' : days === 1 ? 'Yesterday' : days < 7 ? 'This week' : days < 31 ? 'This month' : 'Earlier';
}

export class Sidebar {
  /** actions: open(conversation), start(), rename(conversation, title), remove(conversation), restore(conversation), take(text of a file). */
  constructor(actions) {
    this.actions = actions;
    this.conversations = [];
    $('new-chat').addEventListener('click', () => actions.start());
    $('search').addEventListener('input', () => this.draw());
    $('search').addEventListener('keydown', (event) => {
      if (event.key === 'Escape') {
        $('search').value = '';
        this.draw();
      } else if (event.key === 'Enter') {
        $('list').querySelector('.open')?.click();
      }
    });
    $('export').addEventListener('click', () => save('conversations', this.conversations));
    $('import').addEventListener('change', async (event) => {
      const [file] = event.target.files;
      event.target.value = '';
      if (file) actions.take(await file.text());
    });
  }

  /** Shows these conversations, the latest first; current is the one that is open. */
  show(conversations, current) {
    Object.assign(this, { conversations, current });
    this.draw();
  }

  draw() {
    const wanted = $('search').value.trim();
    const found = wanted ? this.conversations.filter((c) => contains(c, wanted)) : this.conversations;
    const items = [];
    let heading;
    for (const conversation of found) {
      const at = period(conversation.updated);
      if (at !== heading) items.push(el('li', { class: 'period' }, at));
      heading = at;
      items.push(this.#item(conversation));
    }
    if (items.length === 0) items.push(el('li', { class: 'period' }, wanted ? 'Nothing found' : 'No conversations yet'));
    $('list').replaceChildren(...items);
  }

  #item(conversation) {
    const title = titleOf(conversation);
    const current = conversation === this.current;
    return el('li', { class: current ? 'item current' : 'item' },
      el('button', { type: 'button', class: 'open', 'aria-current': current ? 'true' : null, onclick: () => this.actions.open(conversation) }, title),
      el('span', { class: 'item-actions' },
        iconButton('edit', `Rename ${title}`, (event) => this.#rename(conversation, event.currentTarget.closest('li'))),
        iconButton('down', `Export ${title}`, () => save(title, [conversation])),
        iconButton('trash', `Delete ${title}`, () => {
          this.actions.remove(conversation);
          toast(`“${title}” was deleted.`, 'Undo', () => this.actions.restore(conversation));
        })));
  }

  #rename(conversation, item) {
    const field = el('input', { class: 'rename', 'aria-label': 'Name of the conversation', value: titleOf(conversation), maxlength: '200' });
    let over = false;
    const end = (keep) => {
      if (over) return;
      over = true;
      if (keep && field.value.trim()) this.actions.rename(conversation, field.value.trim());
      else this.draw();
    };
    field.addEventListener('blur', () => end(true));
    field.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && !event.isComposing) end(true);
      if (event.key === 'Escape') end(false);
      event.stopPropagation();
    });
    item.replaceChildren(field);
    field.select();
  }
}

/** Hands the reader a file of conversations. */
function save(name, conversations) {
  const url = URL.createObjectURL(new Blob([exported(conversations)], { type: 'application/json' }));
  const file = name.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-|-$/g, '').slice(0, 60) || 'conversation';
  el('a', { href: url, download: `ortserve-${file}.json` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
