(async () => {
  "use strict";
  const root = document.documentElement;
  if (typeof DecompressionStream === "undefined") return;  // the still figures are there
  const unpacked = async id => {
    const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), c => c.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  };
  const script = document.createElement("script");
  script.textContent = await unpacked("bokeh-script");
  document.head.append(script);
  const items = JSON.parse(await unpacked("bokeh-figures"));

  const paint = doc => {
    const style = getComputedStyle(document.body);
    const [ink, line, page] = ["--ink", "--line", "--page"].map(name => style.getPropertyValue(name).trim());
    for (const model of doc._all_models.values()) {
      const properties = {
        axis_label_text_color: ink, major_label_text_color: ink, axis_line_color: ink, major_tick_line_color: ink,
        minor_tick_line_color: line, label_text_color: ink, outline_line_color: line, grid_line_color: line,
        background_fill_color: page, border_fill_color: page,
      };
      for (const [name, colour] of Object.entries(properties)) if (name in model.properties) model[name] = colour;
      if (model.name === "ink" && model.glyph) model.glyph.text_color = ink;
    }
  };
  const go = rank => {
    location.hash = document.getElementById("rank-" + rank) ? "rank-" + rank : "winners";
  };
  const listen = doc => {
    for (const model of doc._all_models.values()) {
      if (!["points", "lines"].includes(model.name)) continue;
      model.selected.properties.indices.change.connect(() => {
        const [i] = model.selected.indices;
        if (i !== undefined) go(model.data.rank[i]);
      });
    }
  };
  const take = doc => {  // parts of axes, through which lines must go
    const [lines, taken] = ["lines", "taken"].map(name => doc.get_model_by_name(name));
    if (!lines) return;
    const parts = new Map(), plot = doc.roots()[0];
    const update = () => {
      const goes = lines.data.ys.map(ys => [...parts].every(([axis, [low, high]]) => low <= ys[axis] && ys[axis] <= high));
      lines.data = {...lines.data, alpha: goes.map(is => is ? 0.55 : 0.05)};
      const ends = [...parts.values()];
      taken.data = {axis: [...parts.keys()], low: ends.map(e => e[0]), high: ends.map(e => e[1])};
      goes.forEach((is, i) => {
        document.getElementById("rank-" + lines.data.rank[i])?.classList.toggle("taken", is && parts.size > 0);
      });
    };
    plot.on_event("selectiongeometry", ({geometry: {x0, x1, y0, y1}, final}) => {
      if (!final) return;
      const [left, right] = [Math.min(x0, x1), Math.max(x0, x1)];
      for (let axis = Math.max(0, Math.ceil(left)); axis <= Math.min(right, lines.data.ys[0].length - 1); axis++) {
        parts.set(axis, [Math.max(0, Math.min(y0, y1)), Math.min(1, Math.max(y0, y1))]);
      }
      update();
    });
    plot.on_event("reset", () => { parts.clear(); update(); });
    for (const model of doc._all_models.values()) {
      if (model.type === "BoxSelectTool") model.active = matchMedia("(pointer: fine)").matches;  // fingers scroll
    }
  };
  const show = (doc, cost) => {
    for (const model of doc._all_models.values()) {
      if (model.name === "points") model.data = {...model.data, x: model.data[cost]};
      if (model.name !== "front") continue;
      const [x, y, label] = model.tags[0][cost];
      model.data = {x, y};
      doc.roots()[0].below.find(a => "axis_label" in a.properties).axis_label = label;
    }
  };

  Bokeh.logger.set_level("warn");  // set_log_level would log that it does
  root.classList.add("is-live");  // before drawing: what has no width cannot be drawn
  for (const [name, item] of Object.entries(items)) {
    const place = document.getElementById("live-" + name);
    await Bokeh.embed.embed_item(item, place);
  }
  for (const doc of Bokeh.documents) { paint(doc); listen(doc); take(doc); }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => Bokeh.documents.forEach(paint));
  for (const input of root.querySelectorAll(".explore input[name=cost]")) {
    input.addEventListener("change", () => {
      for (const doc of Bokeh.documents) if (doc.get_model_by_name("front")) show(doc, input.value);
    });
  }
  root.dataset.explored = "true";
})().catch(error => {
  document.documentElement.classList.remove("is-live");
  throw error;
});
