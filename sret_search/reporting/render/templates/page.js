"use strict";
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 640px)");
  const config = {
    responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
  };

  // Charts: what they show is theirs, the colours and the width are those of the page.

  function coloured(figure) {
    const style = getComputedStyle(root);
    const [ink, paper, faint, line, mark] =
      ["ink", "paper", "faint", "line", "mark"].map((name) => style.getPropertyValue(`--${name}`).trim());
    const layout = structuredClone(figure.layout);
    Object.assign(layout, {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", uirevision: "kept", autosize: true,
      font: { family: "system-ui, sans-serif", size: 12, color: ink },
      hoverlabel: { bgcolor: paper, bordercolor: line, font: { color: ink }, align: "left" },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: faint, activecolor: mark },
    });
    for (const [name, axis] of Object.entries(layout)) {
      if (!/^[xy]axis\d*$/.test(name)) continue;
      Object.assign(axis, { gridcolor: line, zerolinecolor: line, linecolor: faint });
      // Left to itself, Plotly writes 6, 7, 8 and 9 of each decade over each other.
      if (axis.type === "log" && axis.range && !axis.tickvals) {
        const decades = Math.abs(axis.range[1] - axis.range[0]);
        axis.nticks = Math.max(Math.floor(decades / (narrow.matches && decades > 2 ? 0.75 : 0.35)), 3);
      }
    }
    if (narrow.matches) stacked(layout, figure);
    return layout;
  }

  function stacked(layout, figure) {
    const panels = layout.grid ? layout.grid.columns : 1;
    const entries = figure.data.filter((trace) => trace.showlegend !== false).length;
    if (panels > 1) Object.assign(layout.grid, { rows: panels, columns: 1, ygap: 0.35 });
    layout.height = 0.85 * panels * layout.height + 20 * entries;
    layout.margin = { ...layout.margin, l: 48, r: 8, b: 60 };
    layout.font.size = 11;
    for (const [name, axis] of Object.entries(layout)) {
      if (/^xaxis/.test(name) && axis.title?.text?.length > 36) axis.title.text = halved(axis.title.text);
    }
    layout.dragmode = false; // or a finger on a chart could not scroll the page
  }

  /** A text on two lines, parted at the space that is nearest to its middle. */
  function halved(text) {
    const spaces = [...text.matchAll(/ /g)].map((found) => found.index);
    const [middle] = spaces.sort((a, b) => Math.abs(a - text.length / 2) - Math.abs(b - text.length / 2));
    return middle === undefined ? text : `${text.slice(0, middle)}<br>${text.slice(middle + 1)}`;
  }

  const charts = [...document.querySelectorAll(".chart")].map((place) => {
    const figure = JSON.parse(place.nextElementSibling.textContent);
    return { place, figure, name: place.closest("figure").id };
  });

  function draw({ place, figure, name }) {
    const options = {
      ...config, toImageButtonOptions: { format: "svg", filename: name },
      displayModeBar: narrow.matches ? false : "hover", // on a phone it would lie on the legend
    };
    return Plotly.react(place, figure.data, coloured(figure), options);
  }

  const drawAll = () => Promise.all(charts.map(draw));
  const ready = drawAll().then(() => root.classList.add("drawn"));
  dark.addEventListener("change", drawAll);
  narrow.addEventListener("change", drawAll);

  addEventListener("beforeprint", () => {
    root.classList.add("print");
    for (const details of document.querySelectorAll("details:not([open])")) {
      details.open = true;
      details.dataset.closed = "";
    }
    drawAll();
  });
  addEventListener("afterprint", () => {
    root.classList.remove("print");
    for (const details of document.querySelectorAll("details[data-closed]")) {
      details.open = false;
      delete details.dataset.closed;
    }
    ready.then(drawAll);
  });

  // Tables: a click on a header sorts, and what is typed above leaves the rows that have it.

  const number = (text) => {
    const found = /^[+\u2212-]?\d[\d,]*\.?\d*(e[+-]?\d+)?/.exec(text);
    return found ? Number(found[0].replaceAll(",", "").replace("\u2212", "-")) : NaN;
  };

  function sortable(table) {
    const [head, ...rest] = table.rows;
    const body = rest.length ? rest[0].parentNode : null;
    [...head.cells].forEach((cell, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...cell.childNodes);
      cell.append(button);
      cell.scope = "col";
      button.addEventListener("click", () => {
        const down = cell.getAttribute("aria-sort") === "ascending";
        for (const other of head.cells) other.removeAttribute("aria-sort");
        cell.setAttribute("aria-sort", down ? "descending" : "ascending");
        const text = (row) => row.cells[column]?.textContent.trim() ?? "";
        const known = rest.filter((row) => text(row) !== "");
        const numeric = known.every((row) => !Number.isNaN(number(text(row))));
        const order = numeric
          ? (a, b) => number(text(a)) - number(text(b))
          : (a, b) => text(a).localeCompare(text(b), undefined, { numeric: true });
        known.sort((a, b) => (down ? -order(a, b) : order(a, b)));
        body?.append(...known, ...rest.filter((row) => text(row) === ""));
      });
    });
  }

  function searchable(table) {
    const rows = [...table.rows].slice(1);
    if (rows.length < 10) return;
    const bar = document.createElement("div");
    bar.className = "find";
    const field = document.createElement("input");
    field.type = "search";
    field.placeholder = "filter rows";
    field.setAttribute("aria-label", "filter the rows of the table below");
    const count = document.createElement("span");
    count.setAttribute("aria-live", "polite");
    bar.append(field, count);
    table.closest(".scroll").before(bar);
    const words = rows.map((row) => [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase());
    field.addEventListener("input", () => {
      const wanted = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row, i) => {
        row.hidden = !wanted.every((word) => words[i].includes(word));
        shown += !row.hidden;
      });
      count.textContent = wanted.length ? `${shown} of ${rows.length} rows` : "";
    });
  }

  for (const table of document.querySelectorAll("table")) {
    sortable(table);
    searchable(table);
  }

  const nav = document.querySelector("nav");
  for (const heading of document.querySelectorAll("figure[id] > h2, h2[id]")) {
    const link = document.createElement("a");
    link.href = `#${heading.id || heading.parentNode.id}`;
    link.textContent = heading.textContent.replace(/ \(.*/, "");
    nav.append(link);
  }
})();
