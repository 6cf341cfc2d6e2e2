/** What a conversation says of its answers, and how that becomes fields of a request. */

/** The numbers by which tokens are drawn. An empty one is the server's. */
export const sampling = [
  { name: 'temperature', label: 'Temperature', step: 0.1, min: 0, hint: '0 takes the most probable token each time' },
  { name: 'top_p', label: 'Top p', step: 0.05, min: 0, max: 1, hint: 'keeps the most probable tokens up to this mass' },
  { name: 'top_k', label: 'Top k', step: 1, min: 0, whole: true, hint: 'keeps that many tokens; 0 keeps all' },
  { name: 'min_p', label: 'Min p', step: 0.01, min: 0, max: 1, hint: 'keeps tokens at least this probable beside the first' },
  { name: 'repeat_penalty', label: 'Repeat penalty', step: 0.05, min: 0, hint: 'above 1 lowers tokens that occurred' },
  { name: 'presence_penalty', label: 'Presence penalty', step: 0.1, hint: 'lowers tokens that occurred, once' },
  { name: 'frequency_penalty', label: 'Frequency penalty', step: 0.1, hint: 'lowers tokens by how often they occurred' },
  { name: 'max_tokens', label: 'Tokens at most', step: 1, min: 1, whole: true, fallback: 'window', hint: 'of an answer' },
  { name: 'seed', label: 'Seed', step: 1, whole: true, fallback: 'random', hint: 'the same one gives the same answer' },
];

/** The forms that an answer can be bound to, and the field of the request that says so. */
export const forms = {
  none: { label: 'Any text' },
  schema: {
    label: 'JSON Schema', sample: '{\n  "type": "object",\n  "properties": {\n    "answer": {"type": "string"}\n  },\n  "required": ["answer"]\n}',
    field: (text) => ({ response_format: { type: 'json_schema', json_schema: { name: 'answer', schema: json(text, 'The schema') } } }),
  },
  object: { label: 'Any JSON object', field: () => ({ response_format: { type: 'json_object' } }) },
  choice: {
    label: 'One of these lines', sample: 'yes\nno',
    field: (text) => ({ guided_choice: text.split('\n').map((line) => line.trim()).filter(Boolean) }),
  },
  regex: { label: 'Regular expression', sample: '[A-Z][a-z]+', field: (text) => ({ guided_regex: text }) },
  grammar: { label: 'Grammar (GBNF)', sample: 'root ::= "yes" | "no"', field: (text) => ({ grammar: text }) },
};

export const toolsSample = `[{
  "type": "function",
  "function": {
    "name": "weather",
    "description": "The weather at a place",
    "parameters": {
      "type": "object",
      "properties": {"place": {"type": "string"}},
      "required": ["place"]
    }
  }
}]`;

/** Settings that leave everything to the server. */
export const initial = () => ({ system: '', sampling: {}, stop: '', form: { kind: 'none', text: '' }, tools: '', toolChoice: 'auto', alternatives: false });

function json(text, what) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${what} is no JSON: ${error.message}`);
  }
}

/** The tools as the API takes them: functions may stand there without their wrapping. */
function toolsOf(text) {
  const tools = json(text, 'The list of tools');
  if (!Array.isArray(tools)) throw new Error('The tools must be a list: [{"type": "function", …}]');
  return tools.map((tool) => (tool?.function || tool?.type ? tool : { type: 'function', function: tool }));
}

/** The name of the part that keeps these settings from being sent, and why; null where nothing does. */
export function problem(settings) {
  for (const [part, make] of [['form', formOf], ['tools', toolsField]]) {
    try {
      make(settings);
    } catch (error) {
      return { part, message: error.message };
    }
  }
  return null;
}

const formOf = (settings) => forms[settings.form.kind].field?.(settings.form.text) ?? {};

const toolsField = (settings) =>
  (settings.tools.trim() ? { tools: toolsOf(settings.tools), tool_choice: settings.toolChoice } : {});

/**
 * The fields of a request. What the reader left to the server is sent as the server tells it, so that what the panel shows is what holds.
 * @param {object} defaults of the model, as GET /props tells them
 */
export function fields(settings, defaults) {
  const request = { ...formOf(settings), ...toolsField(settings) };
  for (const { name } of sampling) {
    const value = settings.sampling[name] ?? defaults[name];
    if (value !== undefined) request[name] = value;
  }
  if (defaults.repeat_last_n !== undefined) request.repeat_last_n = defaults.repeat_last_n;
  const stop = settings.stop.split('\n').filter(Boolean);
  if (stop.length) request.stop = stop;
  if (settings.alternatives) Object.assign(request, { logprobs: true, top_logprobs: 5 });
  return request;
}
