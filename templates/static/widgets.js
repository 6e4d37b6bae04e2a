/* The first page as the person has arranged it. Without scripts the menus of the widgets move them, one place at a time.

   [data-widget="URL"]   what the widget shows comes from there, three at a time, so that a slow one holds nothing up
   [data-cell="id"]      may be dragged to another place by its upper edge, where the page is one's own ([data-own]); the new order
                         is posted at once
   #arranged             reads out where a widget stands now */
(function () {
  "use strict";
  var doc = document, home = doc.querySelector("[data-cells]"); if (!home) return;
  var words = (doc.getElementById("words") || { dataset: {} }).dataset, AT_ONCE = 3, waiting = [].slice.call(home.querySelectorAll("[data-widget]"));
  function cells() { return [].slice.call(home.querySelectorAll("[data-cell]")); }

  /* ---- What they show --------------------------------------------------------------------------------------------- */
  function next() {
    var box = waiting.shift(); if (!box) return;
    fetch(box.dataset.widget, { headers: { "X-Fragment": "1" }, credentials: "same-origin" }).then(function (r) { if (!r.ok || r.redirected) throw new Error(r.status); return r.text(); }).then(function (html) {
      box.innerHTML = html; box.dispatchEvent(new CustomEvent("fragment", { bubbles: true }));
    }).catch(function () {
      var p = doc.createElement("p"); p.className = "soft"; p.textContent = words.failed; var bones = box.querySelector(".bones"); if (bones) bones.replaceWith(p);
    }).finally(function () { box.removeAttribute("aria-busy"); next(); });
  }
  for (var n = 0; n < AT_ONCE; n += 1) next();

  /* ---- Dragging --------------------------------------------------------------------------------------------------- */
  var held = null, before = "";
  function order() { return cells().map(function (c) { return c.dataset.cell; }).join(","); }
  if (home.hasAttribute("data-own")) cells().forEach(function (cell) {
    var grip = doc.createElement("span"); grip.className = "grip"; grip.setAttribute("aria-hidden", "true"); grip.draggable = true; cell.prepend(grip);
  });
  home.addEventListener("dragstart", function (event) {
    if (!event.target.classList || !event.target.classList.contains("grip")) return;
    held = event.target.parentNode; before = order(); event.dataTransfer.effectAllowed = "move"; event.dataTransfer.setData("text/plain", held.dataset.title);
    event.dataTransfer.setDragImage(held, 20, 10); held.classList.add("held");
  });
  home.addEventListener("dragover", function (event) {
    if (!held) return; event.preventDefault();
    var over = event.target.closest("[data-cell]"); if (!over || over === held) return;
    var all = cells(); if (all.indexOf(over) > all.indexOf(held)) over.after(held); else over.before(held);
  });
  home.addEventListener("drop", function (event) { if (held) event.preventDefault(); });
  home.addEventListener("dragend", function () {
    if (!held) return; var cell = held; held.classList.remove("held"); held = null; if (order() === before) return;
    var said = doc.getElementById("arranged"), all = cells();
    fetch("/admin/widgets", { method: "POST", body: new URLSearchParams({ do: "order", ids: order() }), credentials: "same-origin", redirect: "manual" }).then(function (r) {
      if (!r.ok && r.type !== "opaqueredirect") throw new Error(r.status);
      said.textContent = said.dataset.said.replace("{what}", cell.dataset.title).replace("{n}", all.indexOf(cell) + 1).replace("{all}", all.length);
    }).catch(function () { location.reload(); });
  });

  /* ---- After a step of a menu the focus is where it was ------------------------------------------------------------ */
  var at = /^#w-\d+$/.test(location.hash) && doc.getElementById(location.hash.slice(1)), menu = at && at.querySelector(".cell-menu > summary");
  function focus() { menu.focus({ preventScroll: true }); }
  if (menu && doc.readyState === "complete") focus();                   // the browser has gone to the address by then
  else if (menu) window.addEventListener("load", function () { setTimeout(focus, 0); });
})();
