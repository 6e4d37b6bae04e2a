/* The matrix of a role, form only: whole rows and columns at once, arrow keys from box to box, how many special grants
   are ticked. Loaded with `defer` where it is used; without it every box is ticked by itself.

   [data-grants]              the matrix; its [data-said] reads out how many were ticked
   [data-tick-row]            ticks the boxes of its row, or none when all are ticked; special grants are never among them
   [data-tick-column="edit"]  the boxes of the column, but for the row "Everywhere" */
(function () {
  "use strict";
  var home = document.querySelector("[data-grants]"); if (!home) return;
  function all(selector, inside) { return Array.prototype.slice.call((inside || home).querySelectorAll(selector)); }
  function free(boxes) { return boxes.filter(function (b) { return !b.disabled; }); }
  function tick(boxes) {
    var on = boxes.some(function (b) { return !b.checked; });
    boxes.forEach(function (b) { if (b.checked !== on) { b.checked = on; b.dispatchEvent(new Event("change", { bubbles: true })); } });
    var said = home.querySelector("[data-said]"), n = boxes.filter(function (b) { return b.checked; }).length;
    said.textContent = said.dataset.words.replace("{n}", n);
  }
  home.addEventListener("click", function (event) {
    var row = event.target.closest("[data-tick-row]"), column = event.target.closest("[data-tick-column]");
    if (row) tick(free(all("td[data-col] input", row.closest("tr"))));
    if (column) tick(free(all("tr:not(.wide-row) > td[data-col='" + column.dataset.tickColumn + "'] input")));
  });
  home.addEventListener("change", function (event) {
    var fold = event.target.closest("details"); if (!fold) return;
    var boxes = all("input", fold), count = fold.querySelector("[data-ticked]"), n = 0;
    count.textContent = count.textContent.replace(/\d+/, function () { boxes.forEach(function (b) { if (b.checked) n += 1; }); return n; });
  });
  home.addEventListener("keydown", function (event) {
    var step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    var cell = step && event.target.closest("td[data-col]"); if (!cell) return;
    var rows = all("tr:has(td[data-col])"), across = getComputedStyle(home).direction === "rtl" ? -step[1] : step[1];
    var y = rows.indexOf(cell.parentNode), x = cell.cellIndex, box = null;
    do { y += step[0]; x += across; box = rows[y] && rows[y].cells[x] && rows[y].cells[x].querySelector("input:not(:disabled)"); } while (!box && rows[y] && rows[y].cells[x]);
    event.preventDefault(); if (box) box.focus();
  });
})();
