// Draws what the engine sends. Texts become text nodes, so nothing in them is markup.
'use strict';

const LINES = 500;
const HOOKS = 200;
const byId = (id) => document.getElementById(id);

function element(name, attributes, ...children) {
  const svg = ['svg', 'line', 'rect', 'circle', 'text', 'g', 'title'].includes(name);
  const made = svg
    ? document.createElementNS('http://www.w3.org/2000/svg', name)
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function row(cells, kind = 'td') {
  const made = cells.map((cell) => {
    const [text, style] = Array.isArray(cell) ? cell : [cell, ''];
    return element(kind, style ? { class: style } : {}, String(text));
  });
  return element('tr', {}, ...made);
}

function drawGraph(state) {
  const graph = byId('graph');
  const { width, height } = graph.getBoundingClientRect();
  const names = Object.keys(state.applications);
  const place = {};
  names.forEach((name, index) => {
    const angle = (2 * Math.PI * index) / names.length - Math.PI / 2;
    const radius = names.length > 1 ? 0.36 : 0;
    place[name] = [
      width / 2 + radius * width * Math.cos(angle),
      height / 2 + radius * height * Math.sin(angle),
    ];
  });
  const drawn = [];
  for (const relation of state.relations) {
    const [a, b] = relation.ends.map((end) => place[end]);
    if (!a || !b) continue;
    drawn.push(element('line', { x1: a[0], y1: a[1], x2: b[0], y2: b[1] }));
    const at = { x: (a[0] + b[0]) / 2, y: (a[1] + b[1]) / 2 - 4, class: 'label' };
    drawn.push(element('text', at, relation.interface));
  }
  for (const name of names) {
    const [x, y] = place[name];
    const app = state.applications[name];
    drawn.push(element('rect', { x: x - 75, y: y - 22, width: 150, height: 44, rx: 6 }));
    drawn.push(element('text', { x, y: y - 6, class: app.status }, name));
    app.units.forEach((unit, index) => {
      const cx = x + (index - (app.units.length - 1) / 2) * 16;
      const title = element('title', {}, `${unit.name}: ${unit.status} ${unit.message}`);
      const ring = unit.leader ? { stroke: 'currentColor', 'stroke-width': 2 } : {};
      drawn.push(element('circle', { cx, cy: y + 10, r: 6, class: unit.status, ...ring }, title));
    });
  }
  graph.replaceChildren(...drawn);
}

function drawUnits(state) {
  const rows = [row(['Unit', 'Workload', 'Agent', 'Address', 'Message'], 'th')];
  for (const app of Object.values(state.applications)) {
    for (const unit of app.units) {
      const name = unit.name + (unit.leader ? '*' : '');
      rows.push(row([name, [unit.status, unit.status], unit.agent, unit.address, unit.message]));
    }
  }
  byId('units').replaceChildren(...rows);
}

const hooks = [];
function drawHooks(fresh) {
  hooks.unshift(...fresh.reverse());
  hooks.length = Math.min(hooks.length, HOOKS);
  const rows = [row(['Time', 'Unit', 'Hook', 'ms', 'Calls', 'Outcome'], 'th')];
  for (const hook of hooks) {
    const outcome = hook.succeeded ? 'done' : 'failed';
    rows.push(row([
      hook.at.slice(11, 19), hook.unit, hook.hook,
      hook.milliseconds.toFixed(1), hook.calls, [outcome, outcome],
    ]));
  }
  byId('hooks').replaceChildren(...rows);
}

function drawLog(fresh) {
  const log = byId('log');
  const pane = byId('lines');
  const atEnd = pane.scrollTop + pane.clientHeight > pane.scrollHeight - 20;
  for (const line of fresh) {
    const text = `${line.at.slice(11, 19)} ${line.entity} ${line.level} ${line.message}\n`;
    log.append(element('div', { class: line.level }, text));
  }
  while (log.childElementCount > LINES) log.firstElementChild.remove();
  if (atEnd) pane.scrollTop = pane.scrollHeight;
}

const source = new EventSource('events');
source.onopen = () => { byId('link').textContent = 'live'; };
source.onerror = () => { byId('link').textContent = 'the engine does not answer'; };
source.addEventListener('state', (event) => {
  const state = JSON.parse(event.data);
  byId('model').textContent = state.model;
  document.title = `${state.model} - talisman`;
  drawGraph(state);
  drawUnits(state);
});
source.addEventListener('hooks', (event) => drawHooks(JSON.parse(event.data)));
source.addEventListener('log', (event) => drawLog(JSON.parse(event.data)));
