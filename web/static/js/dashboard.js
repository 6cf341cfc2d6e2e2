/** The dashboard: what /metrics says, read every two seconds while the page is seen. */

import { apiKey, metrics, setAPIKey } from './api.js';
import { bar, columnChart, lineChart } from './chart.js';
import { $, el } from './dom.js';
import { quantile, rate, Reading } from './prometheus.js';

const interval = 2000; // milliseconds
const kept = 150; // readings: five minutes
const p = 'ortserve_';

const readings = [];

const whole = (x) => Math.round(x).toLocaleString('en');

/** A time in the unit that suits it. */
function time(seconds) {
  if (!Number.isFinite(seconds)) return '–';
  if (seconds < 0.9995) return `${Number((seconds * 1000).toPrecision(2))} ms`;
  return `${Number(seconds.toPrecision(2))} s`;
}

/** An amount of memory. */
function bytes(n) {
  return n >= 2 ** 30 ? `${(n / 2 ** 30).toFixed(1)} GiB` : `${Math.round(n / 2 ** 20)} MiB`;
}

/** The labels that the chosen model's series have; none for all models. */
const chosen = () => ($('model').value ? { model_name: $('model').value } : {});

function draw() {
  const now = readings.at(-1);
  const names = now.all(`${p}num_slots`).map((s) => s.labels.model_name);
  const options = ['', ...names];
  if (options.join() !== [...$('model').options].map((o) => o.value).join()) {
    const value = $('model').value;
    $('model').replaceChildren(...options.map((name) => el('option', { value: name }, name || 'all models')));
    $('model').value = names.includes(value) ? value : '';
  }
  const labels = chosen();
  drawTiles(now, labels);
  drawLines(labels);
  drawSlots(now, labels);
  for (const [id, name] of [['first', 'time_to_first_token_seconds'], ['between', 'inter_token_latency_seconds'], ['whole', 'e2e_request_latency_seconds']]) {
    drawLatency(id, now.buckets(p + name, labels));
  }
}

function drawTiles(now, labels) {
  const slots = now.sum(`${p}num_slots`, labels);
  const prompts = now.sum(`${p}prompt_tokens_total`, labels);
  const hits = now.sum(`${p}prefix_cache_hits_total`, labels);
  const ended = now.all(`${p}request_success_total`, labels);
  const failed = ended.filter((s) => s.labels.finished_reason === 'error').reduce((sum, s) => sum + s.value, 0);
  const limit = now.sum(`${p}memory_limit_bytes`);
  const before = readings.at(-6) ?? readings[0];
  const tiles = {
    running: [whole(now.sum(`${p}num_requests_running`, labels)), `of ${slots} slots`],
    waiting: [whole(now.sum(`${p}num_requests_waiting`, labels)), 'for a slot'],
    output: [whole(rate(`${p}generation_tokens_total`, now, before, labels)), 'tokens/s, of 10 s'],
    prefix: [prompts ? `${whole((100 * hits) / prompts)} %` : '–', `of ${whole(prompts)} prompt tokens`],
    requests: [whole(ended.reduce((sum, s) => sum + s.value, 0)), `answered, ${whole(failed)} failed`],
    memory: [bytes(now.sum(`${p}model_memory_bytes`, labels)), limit ? `of ${bytes(limit)}; process ${bytes(now.sum('process_resident_memory_bytes'))}` : ''],
  };
  for (const [id, [value, note]] of Object.entries(tiles)) {
    $(id).querySelector('.value').textContent = value;
    $(id).querySelector('.note').textContent = note;
  }
}

function drawLines(labels) {
  const pairs = readings.slice(1).map((now, i) => [now, readings[i]]);
  const rates = (name) => pairs.map(([now, before]) => rate(p + name, now, before, labels));
  const gauges = (name) => readings.map((r) => r.sum(p + name, labels));
  $('speed').replaceChildren(lineChart('Tokens a second', $('speed').clientWidth, [
    { name: 'answers', values: rates('generation_tokens_total') },
    { name: 'prompts', values: rates('prompt_tokens_total') },
  ], kept, 10));
  $('load').replaceChildren(lineChart('Sequences', $('load').clientWidth, [
    { name: 'running', values: gauges('num_requests_running') },
    { name: 'waiting', values: gauges('num_requests_waiting') },
  ], kept, 2));
}

function drawSlots(now, labels) {
  const rows = now.all(`${p}slot_used_tokens`, labels).map(({ labels: of, value: used }) => {
    const cached = now.sum(`${p}slot_cached_tokens`, of);
    const most = now.sum(`${p}max_model_len`, { model_name: of.model_name });
    const text = used ? `${whole(used)} in use` : cached ? `${whole(cached)} kept` : 'empty';
    const name = labels.model_name ? of.slot : `${of.model_name} ${of.slot}`;
    return el('li', {}, el('span', { class: 'slot' }, name), bar(`Slot ${name}: ${text} of ${whole(most)} tokens`, most, used, cached), el('span', { class: 'number' }, text));
  });
  $('slots').replaceChildren(...(rows.length ? rows : [el('li', { class: 'faint' }, 'No model is loaded.')]));
}

function drawLatency(id, buckets) {
  const shares = [0.5, 0.9, 0.99].map((q) => `p${100 * q} ${time(quantile(q, buckets))}`);
  const count = buckets.reduce((sum, b) => sum + b.count, 0);
  $(`${id}-quantiles`).textContent = count ? `${shares.join(' · ')} of ${whole(count)}` : 'Nothing yet';
  $(id).replaceChildren(...(count ? [columnChart(`${$(id).dataset.name}, ${shares.join(', ')}`, $(id).clientWidth, buckets, time)] : []));
}

let key = false; // whether a key is asked for

async function read() {
  try {
    const reading = new Reading(await metrics(), performance.now());
    readings.push(reading);
    if (readings.length > kept) readings.shift();
    draw();
    say('');
    key = false;
  } catch (error) {
    key ||= error.unauthorized ?? false;
    say(error.message ?? String(error));
  }
  $('key-form').hidden = !key;
}

function say(text) {
  $('banner').textContent = text;
  $('banner').hidden = !text;
}

$('key').value = apiKey();
$('key-form').addEventListener('submit', (event) => {
  event.preventDefault();
  setAPIKey($('key').value.trim());
  read();
});
$('model').addEventListener('change', draw);
setInterval(() => document.hidden || key || read(), interval);
document.addEventListener('visibilitychange', () => document.hidden || key || read());
await read();
document.body.dataset.ready = 'true';
