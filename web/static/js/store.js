/** Conversations are kept in this browser alone, in its IndexedDB, a record each. */

const done = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

let opened;

function open() {
  if (!opened) {
    const request = indexedDB.open('ortserve', 1);
    request.onupgradeneeded = () => request.result.createObjectStore('conversations', { keyPath: 'id' });
    opened = done(request);
  }
  return opened;
}

async function records(mode) {
  return (await open()).transaction('conversations', mode).objectStore('conversations');
}

// Other tabs of this page hear of changes.
const channel = new BroadcastChannel('ortserve');

/** All conversations, the latest first. */
export async function all() {
  return (await done((await records('readonly')).getAll())).sort((a, b) => b.updated - a.updated);
}

export async function put(conversation) {
  await done((await records('readwrite')).put(conversation));
  channel.postMessage(conversation.id);
}

export async function remove(id) {
  await done((await records('readwrite')).delete(id));
  channel.postMessage(id);
}

/** Calls f with the id of each conversation that another tab changes. */
export function onChange(f) {
  channel.onmessage = (event) => f(event.data);
}
