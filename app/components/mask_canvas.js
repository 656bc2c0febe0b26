// Paints the masks of one layer, one panel a method, on common axes: x = columns of the GEMM view, y = filters,
// tile by tile; permuted filters lie in the order of their tiles, and `order` says which they are.
// Every pixel shows the exact kept share of the cells under it (prefix sums), so nothing aliases.

const GUTTER = 74; // CSS pixels at the right edge for the counts per tile
const states = new WeakMap();

export default function (component) {
  const { parentElement } = component;
  const data = readMessage(component.data);
  const frame = parentElement.querySelector(".frame");
  let view = states.get(frame);
  if (!view) {
    view = build(frame);
    states.set(frame, view);
  }
  const identity = [data.layer, data.first, data.last].join("/");
  if (view.identity !== identity) Object.assign(view, { identity, zoom: 1, left: 0 });
  view.data = data;
  view.colors = themeColors(frame);
  view.panels = data.panels.map((panel) => decodePanel(panel, data));
  layOut(view);
  draw(view);
  if (!view.observer) {
    view.observer = new ResizeObserver(() => draw(view));
    view.observer.observe(frame);
  }
  return () => {
    view.observer?.disconnect();
    view.observer = null;
  };
}

// ---- what the page sent -------------------------------------------------------------------------------------

/** A JSON header, a line feed, and the body that its [offset, length] pairs point into. */
function readMessage(message) {
  const end = message.indexOf(10);
  const header = JSON.parse(new TextDecoder().decode(message.subarray(0, end)));
  return { ...header, body: message.subarray(end + 1) };
}

function part(data, [offset, length]) {
  return data.body.subarray(offset, offset + length);
}

/** Cells in [0, 1] as prefix sums along each row; a cell covers `high` tiles x `wide` columns. */
function decodeGrid(source, tiles, data) {
  const [high, wide] = source.bin ?? [1, 1], columns = data.last - data.first;
  const rows = Math.ceil(tiles / high), across = Math.ceil(columns / wide);
  const sums = new Float32Array(rows * (across + 1));
  const raw = part(data, source.bits ?? source.bins), stride = Math.ceil(columns / 8);
  for (let r = 0; r < rows; r++) {
    let sum = 0;
    for (let c = 0; c < across; c++) {
      sum += source.bits ? (raw[r * stride + (c >> 3)] >> (7 - (c & 7))) & 1 : raw[r * across + c] / 255;
      sums[r * (across + 1) + c + 1] = sum;
    }
  }
  return { high, wide, rows, across, sums };
}

function decodePanel(panel, data) {
  const grid = decodeGrid(panel, panel.tiles, data);
  let kept = null;
  if (panel.rows) {
    const raw = part(data, panel.rows);
    kept = new Int32Array(data.filters + 1);
    for (let f = 0; f < data.filters; f++) kept[f + 1] = kept[f] + ((raw[f >> 3] >> (7 - (f & 7))) & 1);
  }
  const raw = panel.order && part(data, panel.order);
  const order = raw && Array.from({ length: data.filters }, (_, place) => raw[2 * place] | (raw[2 * place + 1] << 8));
  const strength = panel.magnitude && decodeGrid(panel.magnitude, panel.magnitude.tiles, data);
  return { ...panel, grid, kept, order, strength };
}

// ---- the frame ----------------------------------------------------------------------------------------------

function element(tag, className, parent) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  parent.appendChild(node);
  return node;
}

function build(frame) {
  const view = { frame, zoom: 1, left: 0, nodes: [] };
  const tools = (view.tools = element("div", "tools", frame));
  const buttons = element("div", "", tools);
  for (const [label, text, act] of [
    ["Zoom in", "+", () => zoomAt(view, 2, 0.5)],
    ["Zoom out", "−", () => zoomAt(view, 0.5, 0.5)],
    ["Show all columns", "All", () => zoomAt(view, 0, 0.5)],
  ]) {
    const button = element("button", "", buttons);
    button.type = "button";
    button.title = label;
    button.setAttribute("aria-label", label);
    button.textContent = text;
    button.onclick = act;
  }
  view.hint = element("span", "hint", tools);
  view.list = element("div", "", frame);
  view.axis = element("div", "axis", frame);
  view.tip = element("div", "tip", frame);
  view.tip.setAttribute("role", "status");
  return view;
}

function layOut(view) {
  view.tools.hidden = !view.data.tools;
  const [high, wide] = view.data.panels[0].bin ?? [1, 1];
  view.hint.textContent = view.data.exact
    ? "Drag to move, double-click or + to zoom, point for details"
    : `Each cell is the share kept of ${high} × ${wide} (tiles × columns)`;
  while (view.nodes.length > view.panels.length) view.nodes.pop().box.remove();
  while (view.nodes.length < view.panels.length) view.nodes.push(addPanel(view, view.nodes.length));
  view.panels.forEach((panel, index) => {
    const { box, name, note, canvas } = view.nodes[index];
    box.style.setProperty("--method", panel.color);
    name.textContent = panel.title;
    note.textContent = summary(panel, view.data);
    canvas.style.height = view.data.panel_height + "px";
    canvas.setAttribute("aria-label", `${panel.title}: ${note.textContent}. ${view.data.alt}`);
  });
}

function addPanel(view, index) {
  const box = element("div", "panel", view.list), title = element("div", "title", box);
  const name = element("b", "", title), note = element("span", "", title);
  const plot = element("div", "plot", box), canvas = element("canvas", "", plot), cross = element("div", "cross", plot);
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  listen(view, canvas, index);
  return { box, name, note, canvas, cross };
}

function summary(panel, data) {
  const low = Math.min(...panel.counts), high = Math.max(...panel.counts), { columns, filters } = data;
  const removed = `${(100 * panel.sparsity).toFixed(1)} % removed${panel.order ? " · filters permuted" : ""}`;
  if (panel.tile === 1) return `${removed} · each filter chooses its own weights`;
  const across = low === high ? `every tile keeps ${high} of ${columns} columns` : `tiles keep ${low} to ${high} of ${columns} columns`;
  if (!panel.kept) return `${removed} · ${across}`;
  if (low === columns) return `${removed} · keeps ${panel.kept[filters]} of ${filters} filters whole`;
  return `${removed} · ${across}, and ${panel.kept[filters]} of ${filters} filters stay`;
}

// ---- painting -----------------------------------------------------------------------------------------------

function themeColors(frame) {
  const style = getComputedStyle(frame);
  return {
    off: rgb(style.getPropertyValue("--st-secondary-background-color")),
    paper: rgb(style.getPropertyValue("--st-background-color")),
    text: style.getPropertyValue("--st-text-color").trim(),
    font: style.getPropertyValue("--st-font").trim() || "sans-serif",
  };
}

function rgb(color) {
  const hex = color.trim().match(/^#(..)(..)(..)/);
  if (hex) return hex.slice(1, 4).map((part) => parseInt(part, 16));
  return (color.match(/[\d.]+/g) ?? [128, 128, 128]).slice(0, 3).map(Number);
}

function span(view) {
  return (view.data.last - view.data.first) / view.zoom;
}

function draw(view) {
  if (!view.frame.clientWidth) return;
  const start = performance.now();
  view.panels.forEach((panel, index) => paint(view, panel, view.nodes[index].canvas));
  drawAxis(view);
  view.frame.dataset.milliseconds = (performance.now() - start).toFixed(1);
  view.frame.dataset.zoom = view.zoom.toFixed(2);
}

function paint(view, panel, canvas) {
  const ratio = devicePixelRatio || 1;
  const width = Math.round((canvas.clientWidth - GUTTER) * ratio), height = Math.round(canvas.clientHeight * ratio);
  if (width <= 0 || height <= 0) return;
  canvas.width = Math.round(canvas.clientWidth * ratio);
  canvas.height = height;
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer), line = new Uint32Array(width), shade = ramp(view.colors.off, rgb(panel.color));
  const { filters } = view.data, tileHeight = (height * panel.tile) / filters;
  const gap = tileHeight >= 7 * ratio ? Math.max(1, Math.round(ratio)) : 0;
  const paper = pack(view.colors.paper);
  let key = "";
  for (let y = 0; y < height; y++) {
    if (gap && y < height - gap && Math.floor((y + gap) / tileHeight) > Math.floor(y / tileHeight)) {
      pixels.fill(paper, y * width, (y + 1) * width);
      continue;
    }
    const from = (y * filters) / height, to = ((y + 1) * filters) / height;
    const cells = cellRange(from / panel.tile, to / panel.tile, panel.grid.high, panel.grid.rows);
    const rows = panel.kept ? rowShare(panel.kept, from, to) : 1;
    if (key !== (key = `${cells} ${rows}`)) {
      const shares = rowShares(panel.grid, cells, view, width);
      const weights = panel.strength && magnitudes(view, panel, from, width);
      for (let x = 0; x < width; x++) line[x] = shade[Math.round(255 * shares[x] * rows * (weights ? weights[x] : 1))];
    }
    pixels.set(line, y * width);
  }
  context.putImageData(image, 0, 0);
  drawCounts(view, panel, context, width, height, ratio);
}

function pack([red, green, blue]) {
  return (0xff000000 | (Math.round(blue) << 16) | (Math.round(green) << 8) | Math.round(red)) >>> 0;
}

/** 256 pixels from `off` to `on`. */
function ramp(off, on) {
  return Uint32Array.from({ length: 256 }, (_, step) =>
    pack([0, 1, 2].map((channel) => off[channel] + ((on[channel] - off[channel]) * step) / 255)),
  );
}

function cellRange(from, to, size, count) {
  const first = Math.min(count - 1, Math.floor(from / size + 1e-9));
  return [first, Math.max(first + 1, Math.min(count, Math.ceil(to / size - 1e-9)))];
}

/** The mean of the cells under each pixel of a line. */
function rowShares(grid, [top, bottom], view, width) {
  const shares = new Float32Array(width), step = span(view) / width;
  for (let x = 0; x < width; x++) {
    const from = view.left + x * step;
    const [first, last] = cellRange(from, from + step, grid.wide, grid.across);
    let sum = 0;
    for (let row = top; row < bottom; row++) {
      sum += grid.sums[row * (grid.across + 1) + last] - grid.sums[row * (grid.across + 1) + first];
    }
    shares[x] = sum / ((bottom - top) * (last - first));
  }
  return shares;
}

function rowShare(kept, from, to) {
  const first = Math.min(kept.length - 2, Math.floor(from)), last = Math.max(first + 1, Math.min(kept.length - 1, Math.ceil(to)));
  return (kept[last] - kept[first]) / (last - first);
}

/** Brightness from the mean magnitude under each pixel; the weakest stay faintly visible. */
function magnitudes(view, panel, place, width) {
  const tile = place / panel.magnitude.tile;
  const cells = cellRange(tile, tile + 1e-6, panel.strength.high, panel.strength.rows);
  return rowShares(panel.strength, cells, view, width).map((share) => 0.12 + 0.88 * share);
}

/** Bars of equal length at the right edge are the picture of balance: each is the work of a tile. */
function drawCounts(view, panel, context, width, height, ratio) {
  const { filters } = view.data, span = panel.tile * panel.per_count, each = (height * span) / filters;
  const left = width + 6 * ratio, room = 14 * ratio, fontSize = 10 * ratio;
  let below = 0; // where the last text ended
  const heights = panel.counts.map((_, index) => keptFilters(panel, index * span, Math.min(filters, (index + 1) * span)));
  const work = panel.counts.map((count, index) => count * heights[index].share);
  const most = Math.max(1, ...work);
  context.font = `${fontSize}px ${view.colors.font}`;
  context.textBaseline = "middle";
  panel.counts.forEach((count, index) => {
    const top = index * each, bar = Math.max(1, Math.min(each, height - top) - (each > 3 * ratio ? ratio : 0));
    context.fillStyle = panel.color;
    context.fillRect(left, top, (room * work[index]) / most, bar);
    const y = Math.min(height - fontSize / 2, Math.max(fontSize / 2, top + bar / 2));
    if (y - fontSize / 2 < below) return;
    below = y + fontSize * 0.6;
    context.fillStyle = view.colors.text;
    const text = panel.kept && panel.tile > 1 ? `${heights[index].count}×${count}` : String(count);
    context.fillText(text, left + room + 4 * ratio, y);
  });
}

function keptFilters(panel, first, last) {
  const count = panel.kept ? panel.kept[last] - panel.kept[first] : last - first;
  return { count, share: count / (last - first) };
}

function drawAxis(view) {
  const { first, kernel } = view.data, taps = kernel[0] * kernel[1];
  const from = first + view.left, to = from + span(view);
  const channel = (column) => Math.min(Math.floor(column / taps), Math.ceil(view.data.columns / taps) - 1);
  const texts = [
    [`column ${Math.round(from)}`, { left: 0 }],
    [`input channels ${channel(from)}–${channel(to - 1e-6)}`, { left: `calc((100% - ${GUTTER}px) / 2)`, transform: "translateX(-50%)" }],
    [`${Math.round(to)}`, { right: GUTTER + "px" }],
    ["kept / tile", { right: 0 }],
  ];
  if (view.frame.clientWidth < 420) texts.splice(1, 1);
  view.axis.replaceChildren();
  for (const [text, style] of texts) {
    const label = element("span", "", view.axis);
    label.textContent = text;
    Object.assign(label.style, style);
  }
}

// ---- pointing -----------------------------------------------------------------------------------------------

function clamp(view) {
  const columns = view.data.last - view.data.first;
  view.zoom = Math.min(Math.max(1, columns / 16), Math.max(1, view.zoom));
  view.left = Math.min(columns - columns / view.zoom, Math.max(0, view.left));
}

function zoomAt(view, factor, share) {
  const column = view.left + share * span(view);
  view.zoom *= factor;
  clamp(view);
  view.left = column - share * span(view);
  clamp(view);
  draw(view);
}

function place(event, canvas) {
  const box = canvas.getBoundingClientRect(), width = box.width - GUTTER;
  return { x: event.clientX - box.left, share: (event.clientX - box.left) / width, down: (event.clientY - box.top) / box.height };
}

function listen(view, canvas, index) {
  let drag = null;
  canvas.onpointerdown = (event) => {
    drag = { x: event.clientX, left: view.left };
    canvas.setPointerCapture(event.pointerId);
    point(view, canvas, index, event);
  };
  canvas.onpointermove = (event) => {
    if (drag && Math.abs(event.clientX - drag.x) > 2) {
      view.left = drag.left - ((event.clientX - drag.x) / (canvas.clientWidth - GUTTER)) * span(view);
      clamp(view);
      draw(view);
      hide(view);
    } else point(view, canvas, index, event);
  };
  canvas.onpointerup = canvas.onpointercancel = () => (drag = null);
  canvas.onpointerleave = () => hide(view);
  canvas.ondblclick = (event) => zoomAt(view, 3, place(event, canvas).share);
  canvas.onwheel = (event) => {
    if (!event.ctrlKey && !event.metaKey) return; // the page keeps its own scrolling
    event.preventDefault();
    zoomAt(view, event.deltaY < 0 ? 1.25 : 0.8, place(event, canvas).share);
  };
  canvas.onkeydown = (event) => {
    const step = { ArrowLeft: -0.1, ArrowRight: 0.1 }[event.key], factor = { "+": 1.5, "=": 1.5, "-": 0.67, 0: 0 }[event.key];
    if (step === undefined && factor === undefined) return;
    event.preventDefault();
    if (step !== undefined) {
      view.left += step * span(view);
      clamp(view);
      draw(view);
    } else zoomAt(view, factor, 0.5);
  };
}

function hide(view) {
  view.tip.style.display = "none";
  for (const { cross } of view.nodes) cross.style.display = "none";
}

function point(view, canvas, index, event) {
  const at = place(event, canvas);
  if (at.share < 0 || at.share >= 1 || at.down < 0 || at.down >= 1) return hide(view);
  const column = Math.floor(view.left + at.share * span(view));
  view.tip.textContent = describe(view, view.panels[index], column, Math.floor(at.down * view.data.filters));
  const frame = view.frame.getBoundingClientRect(), left = event.clientX - frame.left;
  Object.assign(view.tip.style, {
    display: "block",
    left: Math.max(0, Math.min(left + 14, frame.width - 264)) + "px",
    top: event.clientY - frame.top + 16 + "px",
  });
  for (const { cross } of view.nodes) Object.assign(cross.style, { display: "block", left: at.x + "px" });
}

function describe(view, panel, column, at) {
  const { data } = view, tile = Math.floor(at / panel.tile), grid = panel.grid, filter = panel.order ? panel.order[at] : at;
  const row = Math.floor(tile / grid.high), cell = Math.floor(column / grid.wide);
  const share = grid.sums[row * (grid.across + 1) + cell + 1] - grid.sums[row * (grid.across + 1) + cell];
  const removed = panel.kept && panel.kept[at + 1] === panel.kept[at];
  const last = Math.min(data.filters, (tile + 1) * panel.tile) - 1;
  const members = panel.order ? `permuted, filter ${filter}` : `filters ${tile * panel.tile}–${last}`;
  const place = panel.tile > 1 ? `tile ${tile} (${members})` : `filter ${filter}`;
  const fate = removed
    ? `filter ${filter} removed`
    : data.exact
      ? share > 0.5 ? "kept" : "removed"
      : `${Math.round(100 * share)} % kept among ${grid.high} × ${grid.wide} cells`;
  return `${panel.title}: ${place}, column ${data.first + column} → ${tap(data, data.first + column, filter)}: ${fate}`;
}

function tap(data, column, filter) {
  const [height, width] = data.kernel, taps = height * width;
  const group = Math.floor((filter * data.groups) / data.filters);
  const channel = Math.floor(column / taps) + (group * data.inputs) / data.groups;
  if (taps === 1) return `input channel ${channel}`;
  return `input channel ${channel}, tap (${Math.floor((column % taps) / width)}, ${column % width})`;
}
