/**
 * Markdown as elements. What a model writes is not trusted: markup is sanitized, nothing is loaded because of it (an image is a link to it), and
 * links open elsewhere.
 */

import { marked } from '/web/vendor/marked.js';
import DOMPurify from '/web/vendor/purify.js';
import highlighter from '/web/vendor/highlight.js';
import { copyButton, el } from './dom.js';

marked.use({
  gfm: true,
  breaks: true,
  renderer: {
    // Markup inside the text is shown as it was written.
    html: ({ text, block }) => (block ? `<p>${escaped(text)}</p>` : escaped(text)),
    checkbox: ({ checked }) => (checked ? '☑ ' : '☐ '),
    image: ({ href, text }) => `<a href="${escaped(href)}">${escaped(text || href)}</a>`,
  },
});

const escaped = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

const allowed = {
  ALLOWED_TAGS: ['a', 'blockquote', 'br', 'code', 'del', 'em', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'hr', 'li', 'ol', 'p', 'pre', 'span',
    'strong', 'table', 'tbody', 'td', 'th', 'thead', 'tr', 'ul'],
  ALLOWED_ATTR: ['href', 'title', 'class', 'start', 'align'],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  RETURN_DOM_FRAGMENT: true,
};

/** The elements of one block. */
function elements(token, isLast) {
  const fragment = DOMPurify.sanitize(marked.parser([token]), allowed);
  for (const a of fragment.querySelectorAll('a')) {
    a.target = '_blank';
    a.rel = 'noopener noreferrer nofollow';
  }
  for (const table of fragment.querySelectorAll('table')) {
    const frame = el('div', { class: 'table', tabindex: '0', role: 'region', 'aria-label': 'Table' });
    table.replaceWith(frame);
    frame.append(table);
  }
  for (const code of fragment.querySelectorAll('pre > code')) decorate(code, isLast);
  return [...fragment.childNodes];
}

/** Gives a block of code its language, a button to copy it, and colours once it is complete. */
function decorate(code, growing) {
  const language = /language-(\S+)/.exec(code.className)?.[1] ?? '';
  const pre = code.parentElement;
  const text = code.textContent;
  if (!growing && highlighter.getLanguage(language)) {
    const { value } = highlighter.highlight(text, { language, ignoreIllegals: true });
    code.replaceChildren(DOMPurify.sanitize(value, { ALLOWED_TAGS: ['span'], ALLOWED_ATTR: ['class'], RETURN_DOM_FRAGMENT: true }));
  }
  pre.tabIndex = 0;
  pre.setAttribute('aria-label', language ? `Code, ${language}` : 'Code');
  pre.setAttribute('role', 'region');
  const block = el('div', { class: 'code' }, el('div', { class: 'code-head' }, el('span', {}, language || 'text'), copyButton('Copy code', () => text)));
  pre.replaceWith(block);
  block.append(pre);
}

/** Shows a text that grows in an element: blocks that are complete are made once, and stay as they are (so does what is selected in them). */
export class Markdown {
  #root;
  #blocks = []; // {raw, nodes, growing}

  constructor(root) {
    this.#root = root;
  }

  /** Shows text. While it grows its last block is not taken for complete. */
  show(text, growing) {
    const tokens = marked.lexer(text);
    tokens.forEach((token, i) => {
      const block = { raw: token.raw, growing: growing && i === tokens.length - 1 };
      const old = this.#blocks[i];
      if (old && old.raw === block.raw && old.growing === block.growing) return;
      block.nodes = elements(token, block.growing);
      if (old) {
        for (const node of old.nodes.slice(1)) node.remove();
        if (old.nodes[0]) old.nodes[0].replaceWith(...block.nodes);
        else this.#insert(i, block.nodes);
      } else {
        this.#root.append(...block.nodes);
      }
      this.#blocks[i] = block;
    });
    for (const block of this.#blocks.splice(tokens.length)) block.nodes.forEach((node) => node.remove());
  }

  /** Puts the nodes of a block, which had none, before those of the blocks that follow. */
  #insert(i, nodes) {
    const next = this.#blocks.slice(i + 1).flatMap((b) => b.nodes)[0];
    if (next) next.before(...nodes);
    else this.#root.append(...nodes);
  }
}
