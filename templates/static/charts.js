/* Charts. Loaded with `defer`, after vendor/uplot.min.js, by pages that show one (ui.chart_files()). The numbers are those
   of the figure's own table, so that both say the same; colours are read from the tokens, and again when the theme changes.

   figure[data-chart=bars|line|area]   one row of its table for each place on the x axis: <th> is the label (data-short: what
                                       stands below the axis), <td data-value> one number for each series
   [data-plot-table]                   shows the table in place of the picture
   Arrow keys, Home and End walk through the values, as the mouse does. */
(function () {
  "use strict";
  var doc = document, root = doc.documentElement, drawn = [];
  var number = new Intl.NumberFormat(root.lang || undefined), brief = new Intl.NumberFormat(root.lang || undefined, { notation: "compact", maximumFractionDigits: 1 });
  var INKS = ["--accent-solid", "--mark", "--warn-solid"], LINES = ["--accent", "--text-3", "--warn-solid"];

  function make(tag, css, inside) { var e = doc.createElement(tag); if (css) e.className = css; if (inside) inside.append(e); return e; }
  function inks(box) {                  // a token may be light-dark(): only a colour that is used has a value
    var probe = make("span", "", box), found = {};
    INKS.concat(LINES, ["--accent-soft", "--line", "--text-3"]).forEach(function (name) { probe.style.color = "var(" + name + ")"; found[name] = getComputedStyle(probe).color; });
    probe.remove(); return found;
  }
  function read(figure) {
    var rows = Array.prototype.slice.call(figure.querySelectorAll("tbody tr"));
    var names = Array.prototype.slice.call(figure.querySelectorAll("thead th"), 1).map(function (th) { return th.textContent.trim(); });
    return {
      names: names,
      labels: rows.map(function (tr) { return tr.cells[0].textContent.trim(); }),
      shorts: rows.map(function (tr) { return tr.cells[0].dataset.short || tr.cells[0].textContent.trim(); }),
      values: names.map(function (_name, n) { return rows.map(function (tr) { return Number(tr.cells[n + 1].dataset.value); }); })
    };
  }
  function tip(data, box) {
    var told = make("div", "plot-tip", box); told.hidden = true;
    return function (u) {
      var at = u.cursor.idx; told.hidden = at == null || u.cursor.left < 0; if (told.hidden) return;
      var head = make("b"); head.textContent = data.labels[at]; told.replaceChildren(head);
      data.values.forEach(function (values, n) { var line = make("span", "num", told); line.textContent = data.names[n] + " " + number.format(values[at]); });
      var x = u.valToPos(at, "x") + u.over.offsetLeft, width = told.offsetWidth;
      told.style.left = Math.max(0, Math.min(x - width / 2, box.clientWidth - width)) + "px";
    };
  }
  function draw(figure) {
    var box = figure.querySelector(".plot-box"), data = read(figure), bars = figure.dataset.chart === "bars", n = data.labels.length;
    figure.dataset.drawn = "";
    if (!n || !window.uPlot) { figure.classList.add("as-table"); return; }
    var ink = inks(box), style = getComputedStyle(box), font = style.fontSize + " " + style.fontFamily, place = bars ? 0.5 : 0;
    var most = Math.max.apply(null, [1].concat.apply([1], data.values)), wide = brief.format(most).length * 7 + 16;
    var axis = { stroke: function () { return ink["--text-3"]; }, font: font, ticks: { show: false } };
    var series = data.names.map(function (name, at) {
      var one = { label: name, points: { show: !bars && n === 1 }, width: bars ? 0 : 1.75, stroke: function () { return ink[(bars ? INKS : LINES)[at % 3]]; } };
      if (bars) { one.fill = one.stroke; one.paths = uPlot.paths.bars(data.names.length === 1 ? { size: [0.64, 28], radius: 0.1 } : { size: [0.36, 20], align: at ? 1 : -1, radius: 0.1 }); }
      else if (figure.dataset.chart === "area" && !at) one.fill = function () { return ink["--accent-soft"]; };
      return one;
    });
    var plot = new uPlot({
      width: box.clientWidth, height: box.clientHeight, legend: { show: false }, padding: [8, bars ? 16 : 22, 0, 0],
      cursor: { y: false, drag: { x: false, y: false, setScale: false }, points: bars ? { show: false } : {} },
      scales: { x: { time: false, range: function () { return [-place, Math.max(n - 1, bars ? 0 : 1) + place]; } }, y: { range: function (_u, _low, high) { return [0, Math.max(high, 1) * 1.06]; } } },
      axes: [
        Object.assign({}, axis, {
          size: 24, gap: 6, grid: { show: false },
          splits: function (u) {
            var longest = Math.max.apply(null, data.shorts.map(function (s) { return s.length; })) * 6 + 20, step = Math.max(1, Math.ceil(n * longest / Math.max(1, u.width - wide)));
            return data.shorts.map(function (_s, i) { return i; }).filter(function (i) { return (n - 1 - i) % step === 0; });
          },
          values: function (_u, splits) { return splits.map(function (i) { return data.shorts[i]; }); }
        }),
        Object.assign({}, axis, {
          size: wide, gap: 6, space: 36, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 1e7, 1e8],
          grid: { width: 1, stroke: function () { return ink["--line"]; } }, values: function (_u, splits) { return splits.map(function (v) { return brief.format(v); }); }
        })
      ],
      series: [{}].concat(series), hooks: { setCursor: [tip(data, box)] }
    }, [data.labels.map(function (_l, i) { return i; })].concat(data.values), box);
    box.tabIndex = 0;
    box.addEventListener("keydown", function (event) {
      var at = plot.cursor.idx, to = { ArrowRight: at == null ? 0 : at + 1, ArrowLeft: at == null ? n - 1 : at - 1, Home: 0, End: n - 1 }[event.key];
      if (event.key === "Escape") plot.setCursor({ left: -10, top: -10 });
      if (to === undefined) return;
      event.preventDefault(); plot.setCursor({ left: plot.valToPos(Math.min(Math.max(to, 0), n - 1), "x"), top: 0 });
    });
    box.addEventListener("blur", function () { plot.setCursor({ left: -10, top: -10 }); });
    new ResizeObserver(function () { if (box.clientWidth && box.clientHeight) plot.setSize({ width: box.clientWidth, height: box.clientHeight }); }).observe(box);
    drawn.push({ box: box, again: function () { ink = inks(box); plot.redraw(true, true); } });
  }
  doc.addEventListener("click", function (event) {
    var button = event.target.closest("[data-plot-table]"); if (!button) return;
    var figure = button.closest("[data-chart]"), shown = figure.classList.toggle("as-table");
    button.setAttribute("aria-pressed", String(shown)); figure.querySelector(".plot-table").tabIndex = shown ? 0 : -1;
  });
  function again() { drawn = drawn.filter(function (one) { return one.box.isConnected; }); drawn.forEach(function (one) { one.again(); }); }
  function all() { doc.querySelectorAll("[data-chart]:not([data-drawn])").forEach(draw); }
  new MutationObserver(again).observe(root, { attributes: true, attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
  (doc.fonts ? doc.fonts.ready : Promise.resolve()).then(function () { all(); new MutationObserver(all).observe(doc.body, { childList: true, subtree: true }); });   // also in fragments that come later
})();
