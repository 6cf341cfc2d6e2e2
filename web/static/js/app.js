/** The chat page: what happens when, between the list, the thread, the composer, the panel and the server. */

import { fill } from './answer.js';
import { add, choose, create, imported, path, tokensOf } from './conversation.js';
import { Composer } from './composer.js';
import { $, toast } from './dom.js';
import { listen } from './keys.js';
import { Models } from './models.js';
import { Panel } from './panel.js';
import { initial, problem } from './settings.js';
import { Sidebar } from './sidebar.js';
import * as store from './store.js';
import { greeting, Thread } from './thread.js';

const examples = ['Explain how a bicycle stays upright.', 'Write a short poem about the sea.', 'Give me three uses for an old jar.'];

let conversations = []; // the latest first
let current; // the one that is open; it is in the list once it has a message
const running = new Map(); // by conversation id: {message, controller}
const saves = new Map(); // by conversation id: the timer of a save that is due

const models = new Models({ changed: modelsChanged, failed: modelsFailed });
const thread = new Thread({ edit, retry, result, choose: branch, askKey: () => askKey(true) });
const sidebar = new Sidebar({ open, start, rename, remove, restore, take });
const composer = new Composer({ send, stop, editLast: () => thread.editLast() });
const panel = new Panel({ changed: settingsChanged, keyChanged });

/* What is shown. */

function show() {
  const run = running.get(current.id);
  thread.show(current, run?.message, greeting(models, examples, (text) => {
    composer.set(text);
    composer.field.focus();
  }));
  sidebar.show(conversations, current);
  showState();
}

function showState() {
  composer.setRunning(running.has(current.id));
  composer.setUsed(tokensOf(current), models.current?.max_model_len);
}

function open(conversation) {
  current = conversation;
  history.replaceState(null, '', `#${conversation.id}`);
  panel.show(current.settings);
  if (narrow.matches) toggle('sidebar', false);
  show();
}

/** Opens a conversation without messages, with the settings of the one before. */
function start() {
  open(create(current ? { ...current.settings } : lastSettings()));
  composer.field.focus();
}

/* Messages. */

function send(text) {
  if (!models.id) return composer.set(text), models.refresh();
  if (!settingsHold()) return composer.set(text);
  const message = add(current, current.leaf, { role: 'user', content: text });
  answer(current, message.id);
}

/** Says where the settings cannot be sent. */
function settingsHold() {
  const wrong = problem(current.settings);
  if (wrong) {
    toggle('panel', true);
    $(wrong.part === 'form' ? 'form-text' : 'tools').focus();
  }
  return !wrong;
}

/** Asks for an answer to the message with that id. */
async function answer(conversation, parent) {
  if (running.has(conversation.id)) return;
  if (!conversations.includes(conversation)) conversations.unshift(conversation);
  conversations.sort((a, b) => b.updated - a.updated);
  const message = add(conversation, parent, { role: 'assistant', content: '', model: models.id });
  message.loading = !models.isLoaded;
  if (message.loading) models.setLoading();
  const controller = new AbortController();
  running.set(conversation.id, { message, controller });
  save(conversation);
  show();
  await fill(conversation, message, {
    defaults: models.defaults, signal: controller.signal,
    changed: () => {
      delete message.loading;
      save(conversation, true);
      if (conversation === current) thread.update(message, !message.finish || running.has(conversation.id));
    },
  });
  running.delete(conversation.id);
  save(conversation);
  if (conversation === current) {
    thread.update(message, false);
    showState();
    announce(message.error ? 'The answer failed.' : message.finish === 'stopped' ? 'The answer was stopped.' : 'The answer is complete.');
  }
  if (message.error?.status === 401) askKey(true);
  models.refresh();
}

function stop() {
  running.get(current.id)?.controller.abort();
}

/** Answers again, beside the answer that is there; one that failed without a word is dropped. */
function retry(message) {
  if (running.has(current.id) || !settingsHold()) return;
  if (message.error && !message.content) delete current.nodes[message.id];
  answer(current, message.parent);
}

/** A changed message is a branch of its own. A question's is answered. */
function edit(message, text) {
  if (running.has(current.id)) return toast('An answer is being written.');
  if (message.role === 'user') {
    answer(current, add(current, message.parent, { role: 'user', content: text }).id);
    return;
  }
  const { model, calls } = message;
  add(current, message.parent, { role: 'assistant', content: text, model, calls, finish: 'edited' });
  save(current);
  show();
}

function branch(message) {
  if (running.has(current.id)) return;
  choose(current, message);
  save(current);
  show();
}

/** The result of a tool's call. The answer goes on once all calls have theirs. */
function result(message, call, text) {
  add(current, current.leaf, { role: 'tool', name: call.name, call: call.id, content: text });
  const given = new Set(path(current).filter((m) => m.role === 'tool').map((m) => m.call));
  if (message.calls.every((c) => given.has(c.id))) answer(current, current.leaf);
  else save(current), show();
}

/* The list. */

function rename(conversation, title) {
  conversation.title = title;
  save(conversation);
  sidebar.draw();
}

function remove(conversation) {
  running.get(conversation.id)?.controller.abort();
  clearTimeout(saves.get(conversation.id));
  conversations = conversations.filter((c) => c !== conversation);
  guarded(store.remove(conversation.id));
  if (conversation === current) start();
  else show();
}

function restore(conversation) {
  conversations = [conversation, ...conversations].sort((a, b) => b.updated - a.updated);
  save(conversation);
  open(conversation);
}

/** Takes the conversations of a file. */
function take(text) {
  try {
    const more = imported(text, initial());
    more.forEach((c) => save(c));
    conversations = [...more, ...conversations].sort((a, b) => b.updated - a.updated);
    toast(`${more.length} ${more.length === 1 ? 'conversation was' : 'conversations were'} imported.`);
    if (more.length) open(more[0]);
  } catch (error) {
    toast(error.message);
  }
}

/** Keeps a conversation: at once, or soon where more is about to change. */
function save(conversation, soon = false) {
  const write = () => {
    saves.delete(conversation.id);
    if (conversations.includes(conversation) || !soon) guarded(store.put(conversation));
  };
  if (!soon) {
    clearTimeout(saves.get(conversation.id));
    write();
  } else if (!saves.has(conversation.id)) {
    saves.set(conversation.id, setTimeout(write, 500));
  }
}

const guarded = (work) => work.catch((error) => toast(`This browser does not keep the conversation: ${error.message}`));

/* Settings, models, key. */

const settingsKey = 'ortserve.settings';

function lastSettings() {
  try {
    return { ...initial(), ...JSON.parse(localStorage.getItem(settingsKey)) };
  } catch {
    return initial();
  }
}

function settingsChanged() {
  localStorage.setItem(settingsKey, JSON.stringify(current.settings));
  if (conversations.includes(current)) save(current, true);
}

function modelsChanged() {
  $('banner').hidden = true;
  panel.setDefaults(models.defaults);
  panel.keyAccepted();
  if (current && path(current).length === 0) show();
  else if (current) showState();
}

function modelsFailed(error) {
  if (error.unauthorized) return askKey(false);
  $('banner').textContent = error.message;
  $('banner').hidden = false;
}

let asked = false;

/** Leads to the field of the key: at once where the reader did something that needs one, and once by itself. */
function askKey(again) {
  if (asked && !again) return;
  asked = true;
  toggle('panel', true);
  panel.askKey(localStorage.getItem('ortserve.key') !== null);
}

async function keyChanged() {
  asked = false;
  await models.refresh();
  if (models.list.length) toast('The key is kept in this browser.');
}

function announce(text) {
  $('announce').textContent = text;
}

/* The page's parts. */

const narrow = matchMedia('(max-width: 800px)');

/** Opens or closes the side bar or the panel; without open it does the other of what is. */
function toggle(part, open = document.body.dataset[part] !== 'open') {
  document.body.dataset[part] = open ? 'open' : 'closed';
  for (const button of document.querySelectorAll(`[data-toggle="${part}"]`)) button.setAttribute('aria-expanded', String(open));
}

for (const button of document.querySelectorAll('[data-toggle]')) button.addEventListener('click', () => toggle(button.dataset.toggle));
$('scrim').addEventListener('click', () => ['sidebar', 'panel'].forEach((part) => toggle(part, false)));

listen({
  start, stop, toggle,
  search: () => {
    toggle('sidebar', true);
    $('search').focus();
  },
  escape: () => {
    if (narrow.matches && document.body.dataset.sidebar === 'open') toggle('sidebar', false);
    else if (document.body.dataset.panel === 'open') toggle('panel', false);
    else stop();
  },
});

store.onChange(async (id) => {
  if (running.has(id)) return;
  conversations = (await store.all()).map((c) => (running.has(c.id) ? conversations.find((mine) => mine.id === c.id) : c));
  current = conversations.find((c) => c.id === current.id) ?? current;
  panel.show(current.settings);
  show();
});

addEventListener('pagehide', () => {
  for (const { controller } of running.values()) controller.abort();
});

toggle('sidebar', !narrow.matches);
toggle('panel', false);
try {
  conversations = await store.all();
} catch (error) {
  toast(`This browser does not keep conversations: ${error.message}`);
}
for (const message of conversations.flatMap((c) => Object.values(c.nodes))) {
  if (message.role === 'assistant') message.finish ??= 'stopped'; // the page was closed while it came
}
const last = conversations.find((c) => `#${c.id}` === location.hash);
if (last) open(last);
else start();
await models.refresh();
document.body.dataset.ready = 'true';
