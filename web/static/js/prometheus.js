/** Numbers in Prometheus's text format: https://prometheus.io/docs/instrumenting/exposition_formats/ */

const line = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const label = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** One reading: series by metric name. */
export class Reading {
  #series = new Map(); // by name: [{labels, value}]

  constructor(text, time) {
    this.time = time; // milliseconds
    for (const row of text.split('\n')) {
      const found = line.exec(row);
      if (!found) continue;
      const labels = Object.fromEntries([...(found[2] ?? '').matchAll(label)].map(([, name, value]) => [name, value.replace(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : c))]));
      const name = found[1];
      if (!this.#series.has(name)) this.#series.set(name, []);
      this.#series.get(name).push({ labels, value: Number(found[3].replace('Inf', 'Infinity')) });
    }
  }

  /** The series of that name with these labels among theirs. */
  all(name, labels = {}) {
    return (this.#series.get(name) ?? []).filter((s) => Object.entries(labels).every(([k, v]) => s.labels[k] === v));
  }

  /** Their sum; 0 where there is none. */
  sum(name, labels) {
    return this.all(name, labels).reduce((sum, s) => sum + s.value, 0);
  }

  /** A histogram as [{le, count}], with what each bucket holds by itself, of all such series together. */
  buckets(name, labels) {
    const below = new Map();
    for (const s of this.all(`${name}_bucket`, labels)) {
      const le = Number(s.labels.le.replace('Inf', 'Infinity'));
      below.set(le, (below.get(le) ?? 0) + s.value);
    }
    let before = 0;
    return [...below].sort(([a], [b]) => a - b).map(([le, count]) => {
      const own = count - before;
      before = count;
      return { le, count: own };
    });
  }
}

/** What a counter grew by each second between two readings; 0 where it began anew. */
export function rate(name, now, before, labels) {
  const grown = now.sum(name, labels) - before.sum(name, labels);
  const took = (now.time - before.time) / 1000;
  return grown > 0 && took > 0 ? grown / took : 0;
}

/** The value below which a share q of a histogram lies, as Prometheus estimates it: evenly within a bucket. NaN where it is empty. */
export function quantile(q, buckets) {
  const total = buckets.reduce((sum, b) => sum + b.count, 0);
  if (!total) return NaN;
  let rank = q * total;
  let from = 0;
  for (const { le, count } of buckets) {
    if (rank <= count && count > 0) return Number.isFinite(le) ? from + (le - from) * (rank / count) : from;
    rank -= count;
    from = le;
  }
  return from;
}
