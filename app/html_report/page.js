"use strict";

const PRINTED_WIDTH = 960; // CSS pixels: between the margins of a sheet of A4 or letter, landscape

const plots = [...document.querySelectorAll("[data-figure]")];
const read = (id) => JSON.parse(document.getElementById(id).textContent);

for (const plot of plots) {
  const { data, layout } = read(plot.dataset.figure);
  plot.replaceChildren(); // what stands there without a script
  Plotly.newPlot(plot, data, layout, { displayModeBar: false, responsive: true });
}
addEventListener("beforeprint", () => {
  for (const plot of plots) Plotly.relayout(plot, { width: PRINTED_WIDTH });
});
addEventListener("afterprint", () => {
  for (const plot of plots) Plotly.relayout(plot, { width: null, autosize: true });
});

function replay() {
  const grid = read("grid");
  const [method, ratio, batch] = ["method", "ratio", "batch"].map((name) =>
    document.getElementById(`replay-${name}`),
  );
  for (const [name, title] of grid.methods) method.add(new Option(title, name));
  [method.value, ratio.value] = grid.start;

  const slide = (slider, stops) => {
    slider.max = stops.length - 1;
    slider.disabled = stops.length === 1;
  };
  slide(ratio, grid.ratios);
  slide(batch, grid.batches);
  [ratio.value, batch.value] = [grid.start[1], 0];

  const say = (id, words) => (document.getElementById(`replay-${id}`).textContent = words);
  const show = () => {
    say("ratio-shown", `${grid.ratios[ratio.value]} removed`);
    say("batch-shown", grid.batches[batch.value]);
    const point = grid.points[`${method.value} ${ratio.value} ${grid.batches[batch.value]}`];
    for (const name of ["speed", "accuracy", "size"]) {
      const [value, under] = point ? point[name] : [grid.missing, ""];
      say(name, value);
      say(`${name}-under`, under);
    }
  };
  for (const control of [method, ratio, batch]) control.addEventListener("input", show);
  show();
  document.getElementById("replay").hidden = false;
}

if (document.getElementById("replay")) replay();
