/** Charts as SVG. The style sheet has the colours. */

function svg(tag, attributes, ...children) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** The next of 1, 2, 5, 10, 20… that is not below x. */
function nice(x) {
  const unit = 10 ** Math.floor(Math.log10(x));
  return [1, 2, 5, 10].map((k) => k * unit).find((v) => v >= x * 0.999999);
}

const height = 160;

/**
 * Lines over time, each a list of values of which the last is the newest, in a room of that many values.
 * @param {number} width in pixels
 * @param {{name: string, values: number[]}[]} lines
 * @param {number} least that the scale reaches
 */
export function lineChart(label, width, lines, room, least) {
  const top = nice(Math.max(least, ...lines.flatMap((l) => l.values)));
  const y = (v) => (height - 4 - (v / top) * (height - 14)).toFixed(1);
  const grid = [0, 0.5, 1].map((share) => svg('line', { class: 'grid', x1: 0, x2: width, y1: y(share * top), y2: y(share * top) }));
  const marks = [0.5, 1].map((share) => svg('text', { class: 'mark', x: 2, y: Number(y(share * top)) - 3 }, (share * top).toLocaleString('en')));
  const paths = lines.map(({ values }, i) => {
    const x = (k) => (width - ((values.length - 1 - k) * width) / (room - 1)).toFixed(1);
    return svg('polyline', { class: `line line-${i}`, points: values.map((v, k) => `${x(k)},${y(v)}`).join(' ') });
  });
  const now = lines.map((l) => `${l.name} ${Math.round(l.values.at(-1) ?? 0)}`).join(', ');
  return svg('svg', { class: 'chart', viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': `${label}: ${now}` }, ...grid, ...paths, ...marks);
}

/** A histogram's buckets as columns, from the first that holds anything to the last. */
export function columnChart(label, width, buckets, unit) {
  const used = buckets.map((b) => b.count > 0);
  const shown = buckets.slice(Math.max(used.indexOf(true) - 1, 0), used.lastIndexOf(true) + 2);
  const most = Math.max(1, ...shown.map((b) => b.count));
  const step = width / Math.max(shown.length, 1);
  const every = Math.ceil(44 / step); // so that the marks have room
  const room = height - 24;
  const columns = shown.flatMap(({ le, count }, i) => [
    svg('rect', { class: 'column', x: i * step + 1.5, width: Math.max(step - 3, 1), y: room - (count / most) * (room - 6), height: (count / most) * (room - 6) },
      svg('title', {}, `up to ${unit(le)}: ${count}`)),
    svg('text', { class: 'mark', x: (i + 0.5) * step, y: height - 6, 'text-anchor': 'middle' }, i % every ? '' : Number.isFinite(le) ? unit(le) : 'more'),
  ]);
  return svg('svg', { class: 'chart', viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': label },
    svg('line', { class: 'grid', x1: 0, x2: width, y1: room, y2: room }), ...columns);
}

/** A bar of a whole with two parts. */
export function bar(label, whole, used, cached) {
  const share = (n) => ((n / whole) * 100).toFixed(2);
  return svg('svg', { class: 'bar-chart', viewBox: '0 0 100 4', preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
    svg('rect', { class: 'bar-room', width: 100, height: 4 }),
    svg('rect', { class: 'bar-cached', width: share(used + cached), height: 4 }),
    svg('rect', { class: 'bar-used', width: share(used), height: 4 }));
}
