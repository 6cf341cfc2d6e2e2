/** Elements without a framework: el('button', {class: 'quiet', onclick: f}, 'Copy'). */

/**
 * Makes an element. Properties that begin with `on` are listeners, true and false set and leave out an attribute, and every other one is an
 * attribute. Children are nodes or text; null and false are left out.
 */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, '');
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child != null && child !== false));
  return node;
}

/** The element of that id. */
export const $ = (id) => document.getElementById(id);

/** Outlines on a grid of 24 units. */
const outlines = {
  plus: 'M12 5v14M5 12h14',
  close: 'M6 6l12 12M18 6L6 18',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  copy: 'M9 9h10v11H9zM15 9V4H5v11h4',
  edit: 'M4 20h4L19 9l-4-4L4 16zM13 7l4 4',
  trash: 'M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5',
  down: 'M12 4v11M7 11l5 5 5-5M5 20h14',
  retry: 'M5 12a7 7 0 1 1 2 5M5 19v-4h4',
  left: 'M14 6l-6 6 6 6',
  right: 'M10 6l6 6-6 6',
  tokens: 'M4 19V9M9 19V5M14 19v-7M19 19v-4',
  tool: 'M14.5 6.5a4 4 0 0 1 5-1l-3 3 1 2 2 1 3-3a4 4 0 0 1-5.5 4.5L9 21l-3-3 8.5-8a4 4 0 0 1 0-3.500z',
};

/** An outline that says nothing by itself: the element around it has the name. */
export function icon(name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  path.setAttribute('d', outlines[name]);
  svg.append(path);
  return svg;
}

/** A button that shows an outline; its name is told and shown as its title. */
export function iconButton(name, label, onclick, props = {}) {
  return el('button', { type: 'button', class: 'icon-button', 'aria-label': label, title: label, onclick, ...props }, icon(name));
}

/** A button that copies what text returns, and says so for a moment. */
export function copyButton(label, text) {
  const button = iconButton('copy', label, async () => {
    try {
      await navigator.clipboard.writeText(text());
    } catch {
      return toast('The browser does not let this page copy.');
    }
    button.replaceChildren(icon('check'));
    setTimeout(() => button.replaceChildren(icon('copy')), 1500);
  });
  return button;
}

/** Says something at the edge of the page, which goes away by itself. */
export function toast(text, action, onaction) {
  const note = el('div', { class: 'toast' }, el('span', {}, text));
  const end = setTimeout(() => note.remove(), action ? 8000 : 4000);
  if (action) {
    note.append(el('button', {
      type: 'button', class: 'link',
      onclick: () => {
        clearTimeout(end);
        note.remove();
        onaction();
      },
    }, action));
  }
  $('toasts').append(note);
}
