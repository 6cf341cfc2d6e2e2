/** The server's API, as far as the pages use it. */

const keyName = 'ortserve.key';

/** The API key that this browser keeps; '' is none. */
export const apiKey = () => localStorage.getItem(keyName) ?? '';

export function setAPIKey(key) {
  if (key) localStorage.setItem(keyName, key);
  else localStorage.removeItem(keyName);
}

/** What went wrong, in the server's own words where it had any. */
export class APIError extends Error {
  /**
   * @param {string} message
   * @param {number} status of the answer; 0 where there was none
   * @param {number} [retryAfter] seconds, where the server said when to come again
   */
  constructor(message, status, retryAfter) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }

  /** Whether a key is missing or wrong. */
  get unauthorized() {
    return this.status === 401;
  }
}

async function request(path, options = {}) {
  const headers = { ...options.headers };
  if (apiKey()) headers.Authorization = `Bearer ${apiKey()}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers, cache: 'no-store' });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new APIError('The server cannot be reached.', 0);
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

/** The error of an answer that is none. */
async function refusal(response) {
  const text = await response.text().catch(() => '');
  let message = text.slice(0, 500) || `The server answered ${response.status}.`;
  try {
    const { error } = JSON.parse(text);
    message = error.message ?? error ?? message;
  } catch { /* not JSON: the text is the message */ }
  return new APIError(message, response.status, Number(response.headers.get('Retry-After')) || undefined);
}

const get = async (path) => (await request(path)).json();

/** The models that are served: {id, max_model_len} of each. */
export const models = async () => (await get('/v1/models')).data;

/** The names of those that are loaded. */
export const loaded = async () => new Set((await get('/api/ps')).models.map((m) => m.name));

/** What requests that do not say otherwise are drawn with. Asking does not load the model. */
export const defaults = async (model) =>
  (await get(`/props?autoload=false&model=${encodeURIComponent(model)}`)).default_generation_settings.params;

/** The text of /metrics. */
export const metrics = async () => (await request('/metrics')).text();

/**
 * Asks for an answer and yields what the stream of POST /v1/chat/completions brings, chunk by chunk. An error inside the stream is thrown.
 * Ending the signal closes the connection, by which the server knows that nobody waits, and frees the slot.
 */
export async function* chat(body, signal) {
  const response = await request('/v1/chat/completions', {
    method: 'POST', body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true }, return_progress: true }),
    headers: { 'Content-Type': 'application/json' }, signal,
  });
  for await (const data of events(response.body)) {
    if (data === '[DONE]') return;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new APIError(chunk.error.message, 200);
    yield chunk;
  }
  throw new APIError('The connection ended before the answer did.', 0);
}

/** The data of server-sent events: WHATWG HTML, section 9.2, as far as this server writes them. */
async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    let part;
    try {
      part = await reader.read();
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      throw new APIError('The connection to the server was lost.', 0);
    }
    if (part.done) return;
    const blocks = (rest + part.value).split('\n\n');
    rest = blocks.pop();
    for (const block of blocks) {
      if (block.startsWith('data: ')) yield block.slice('data: '.length);
    }
  }
}
