/**
 * A conversation is a tree of messages. An edit or another answer is a branch beside the first one, so that nothing is lost; the leaf says
 * which branch is shown.
 *
 *   {id, title, renamed, updated, leaf, nodes: {id: message}, settings}
 *   message: {id, parent, role, content, time}, and of an answer also
 *            {model, calls: [{id, name, arguments}], tokens: [{text, logprob, top: [{text, logprob}]}], usage, timing, finish, error}
 *
 * finish is the server's reason, 'stopped' where the reader stopped it, or absent while the answer comes.
 */

// crypto.randomUUID is there in secure contexts alone, and a page from another machine's plain HTTP is none.
const newID = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, '0')).join('');

export function create(settings) {
  return { id: newID(), title: '', updated: Date.now(), leaf: null, nodes: {}, settings: structuredClone(settings) };
}

/** Adds a message after the one with the id parent, null for the first, and shows it. */
export function add(conversation, parent, fields) {
  const message = { id: newID(), parent, time: Date.now(), ...fields };
  conversation.nodes[message.id] = message;
  conversation.leaf = message.id;
  conversation.updated = message.time;
  return message;
}

/** The messages that are shown, the first one first. */
export function path(conversation, leaf = conversation.leaf) {
  const messages = [];
  for (let node = conversation.nodes[leaf]; node; node = conversation.nodes[node.parent]) messages.unshift(node);
  return messages;
}

/** The messages that stand in the same place, the oldest first. */
export function siblings(conversation, message) {
  return Object.values(conversation.nodes).filter((m) => m.parent === message.parent).sort((a, b) => a.time - b.time);
}

/** Shows the branch of a message, down to its newest leaf. */
export function choose(conversation, message) {
  const children = Object.values(conversation.nodes).filter((m) => m.parent === message.id);
  if (children.length === 0) conversation.leaf = message.id;
  else choose(conversation, children.reduce((a, b) => (b.time >= a.time ? b : a)));
}

/** What the list calls it. */
export function titleOf(conversation) {
  if (conversation.title) return conversation.title;
  const first = path(conversation).find((m) => m.role === 'user')?.content.trim().replace(/\s+/g, ' ');
  if (!first) return 'New chat';
  return first.length > 60 ? `${first.slice(0, 60).trimEnd()}…` : first;
}

/** Whether a search for text finds it. */
export function contains(conversation, text) {
  const wanted = text.toLowerCase();
  return titleOf(conversation).toLowerCase().includes(wanted)
    || Object.values(conversation.nodes).some((m) => m.content.toLowerCase().includes(wanted));
}

/** The messages down to a leaf, as the API takes them. */
export function wire(conversation, leaf) {
  const messages = path(conversation, leaf).filter((m) => !m.error || m.content).map((m) => {
    if (m.role === 'tool') return { role: 'tool', tool_call_id: m.call, content: m.content };
    if (!m.calls?.length) return { role: m.role, content: m.content };
    const calls = m.calls.map((c) => ({ id: c.id, type: 'function', function: { name: c.name, arguments: c.arguments } }));
    return { role: m.role, content: m.content || null, tool_calls: calls };
  });
  const { system } = conversation.settings;
  return system ? [{ role: 'system', content: system }, ...messages] : messages;
}

/** The tokens that the shown messages take, as the server last counted them. */
export function tokensOf(conversation) {
  const usage = path(conversation).findLast((m) => m.usage)?.usage;
  return usage ? usage.prompt + usage.completion : 0;
}

const format = 'ortserve.conversations';

/** The text of a file that holds conversations. */
export const exported = (conversations) => JSON.stringify({ format, version: 1, conversations }, null, 1);

/** The conversations of such a file. Each gets a new id: importing twice makes copies, and overwrites nothing. */
export function imported(text, settings) {
  let file;
  try {
    file = JSON.parse(text);
  } catch {
    throw new Error('This file is no JSON.');
  }
  if (file?.format !== format || !Array.isArray(file.conversations)) throw new Error('This file does not hold conversations of this page.');
  return file.conversations.map((c, i) => {
    const messages = Object.entries(c?.nodes ?? {});
    const known = (id) => id === null || id in c.nodes;
    const sound = messages.every(([id, m]) => m?.id === id && known(m.parent) && typeof m.content === 'string'
      && ['user', 'assistant', 'tool'].includes(m.role)) && known(c?.leaf ?? null);
    if (!sound || loops(c)) throw new Error(`Conversation ${i + 1} of this file is damaged.`);
    return {
      ...create({ ...settings, ...c.settings }), title: String(c.title ?? ''), leaf: c.leaf ?? null, nodes: c.nodes,
      updated: Number(c.updated) || Date.now(),
    };
  });
}

/** Whether a message of a file comes, by its parents, after itself. */
function loops(conversation) {
  const most = Object.keys(conversation?.nodes ?? {}).length;
  return Object.values(conversation?.nodes ?? {}).some((m) => {
    let steps = 0;
    for (let node = m; node && steps <= most; node = conversation.nodes[node.parent]) steps++;
    return steps > most;
  });
}
